#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <molink/link.h>
#include <molink/status.h>

#include "channel/channel_hub.h"
#include "wire/messages.h"

namespace molink {

/// Whether a stage that failed would fail again after its node has joined again.
enum class Failure : std::uint8_t { passing, lasting };

/// What a pipeline needs of the head that owns it. Thread: the head's loop.
class PipelinePorts {
public:
    virtual ~PipelinePorts() = default;

    /// Sends to a worker; nothing when it is gone.
    virtual void send(NodeId node, Lane lane, PipelineEpoch epoch, const Message& message) = 0;
    /// Bytes that have not reached a worker yet.
    virtual std::size_t pending_bytes(NodeId node) const = 0;
    /// The link from one node to another, as the sender measured it in this epoch. Devices of one
    /// process have a link without limits.
    virtual LinkModel link(NodeId from, NodeId to, PipelineEpoch epoch) const = 0;
    /// On every peer link: messages of older epochs of this pipeline are dropped.
    virtual void begin_epoch(PipelineEpoch epoch) = 0;

    /// The process of a node broke the protocol. May end the pipeline before it returns.
    virtual void lose_node(NodeId node, const std::string& reason) = 0;
    /// A stage cannot go on. May end the pipeline before it returns.
    virtual void stage_failed(NodeId node, const StageFailed& failed, Failure failure) = 0;
    /// A node of a worker cannot do its part, but keeps to the protocol: no pipeline uses it until
    /// it joins again. May end the pipeline before it returns.
    virtual void leave_out(NodeId node, const Status& reason) = 0;
    virtual void pipeline_serves() = 0;
    virtual void pipeline_ended(const Status& reason) = 0;
    /// What is shown of the pipeline changed.
    virtual void pipeline_changed() = 0;
};

}  // namespace molink
