#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <molink/clock.h>
#include <molink/model_spec.h>
#include <molink/options.h>
#include <molink/partitioner.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "model/checked_model.h"
#include "model/model.h"
#include "stage/device_probe.h"
#include "tokenizer/tokenizer.h"
#include "wire/messages.h"

namespace molink {

/// Name of the backend whose stages only take time.
inline constexpr std::string_view kTimedBackend = "timed";

/// What a node knows of itself before it meets others: its model, its machine, how fast it is.
struct NodeIdentity {
    std::string name;
    std::string host_id;
    ModelSpec spec;
    std::uint64_t model_hash = 0;
    std::shared_ptr<const OpenedModel> model;  ///< null for timed nodes
    WeightFormat weights = WeightFormat::native;
    DataType weight_type = DataType::f32;  ///< stored type, or q8_0
    DataType kv_type = DataType::f32;
    std::int32_t block_tokens = 0;
    /// Rows of the embedding and the LM head in the model's files; 0: spec.vocabulary. The spec of
    /// a timed node has the vocabulary of the fold model.
    std::int32_t stored_vocabulary = 0;
    std::optional<LayerRange> layers;
    std::vector<NodeDevice> devices;  ///< at least one
};

/// Returns whether the stages of a process only take time.
bool is_timed(const NodeOptions& options);
bool is_timed(std::span<const NodeDevice> devices);

/// Returns the names of the devices in NodeOptions::backend. Errors: invalid_argument when one is
/// named twice, there are more than limits::kMaxNodeDevices, timed devices are mixed with others,
/// or layers are fixed for several devices; those of parse_device_list.
Result<std::vector<std::string>> device_names(const NodeOptions& options);

/// Makes a backend on device `name`, one of device_names(). It computes with options.threads
/// threads, or with one when `layout` and it only tells how many bytes things take. Timed devices
/// count as the CPU does.
Result<std::unique_ptr<Backend>> open_node_device(const NodeOptions& options,
                                                  const std::string& name, bool layout);

/// Returns the name of the node on device `index` of a process: the name of the process and, when
/// it has several devices, that of the device.
std::string node_name(const std::string& process, std::span<const NodeDevice> devices,
                      std::size_t index);

/// Reads the model's description and, when `probe`, measures this machine with the model's own
/// layers. `default_name` is used when the options give none. Errors as Engine::open.
Result<NodeIdentity> make_identity(const NodeOptions& options, const std::string& default_name,
                                   bool probe);

/// Returns what config.json alone tells: model and storage types; no hash, name or memory.
Result<NodeIdentity> describe_identity(const NodeOptions& options);

/// The model as its files hold it: what counts against a node's memory.
ModelSpec stored_spec(const NodeIdentity& identity);

/// Returns the positions that one sequence may have: the model's, or fewer by option.
std::int32_t context_of(const EngineOptions& options, const ModelSpec& spec);

/// Describes the model and the work for a partitioner. The head adds nodes and links.
Result<PartitionInput> make_partition_input(const EngineOptions& options,
                                            const NodeIdentity& identity);

/// Refuses a tokenizer that knows more tokens than the model. Errors: invalid_argument, both
/// numbers.
Status check_vocabulary(const Tokenizer& tokenizer, const ModelSpec& spec, const std::string& file);

/// Returns what a worker tells the head. `advertise`: the address that others dial.
Hello make_hello(const NodeIdentity& identity, const std::string& advertise);

/// Checks the measured times of a device. Errors: invalid_argument naming device, figure and bound.
Status check_profile(const NodeDevice& device);

/// Checks whether a node that says `hello` can work with a head of this identity. Errors, for the
/// node: failed_precondition naming both values, for protocol, model, weights, KV type, block size;
/// resource_exhausted when its memory cannot hold a single layer of `model`; those of
/// check_profile.
Status check_hello(const Hello& hello, const NodeIdentity& head, const PartitionModel& model);

}  // namespace molink
