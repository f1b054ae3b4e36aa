// Byte pair encoding with a heap of candidate pairs over a linked list of symbols. It takes O(n log
// n); repeated scans of a word of one megabyte would take O(n^2). A candidate keeps its two tokens
// and is dropped if either has changed. The merge table is a hash table with open addressing,
// because it is read once per neighbouring pair and has up to millions of rows.
#include "tokenizer/bpe.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace molink {
namespace {

// Order of a heap with the lowest rank on top, and the leftmost among equal ranks.
struct Later {
    template <typename Candidate>
    bool operator()(const Candidate& a, const Candidate& b) const {
        return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
    }
};

std::size_t table_size(std::size_t entries) {
    std::size_t size = 16;
    while (size < entries * 2) size *= 2;
    return size;
}

}  // namespace

Bpe::Bpe(BpeModel model) : model_(std::move(model)) {
    slots_.resize(table_size(model_.merges.size()));
    slot_mask_ = slots_.size() - 1;
    std::uint32_t rank = 0;
    for (const BpeMerge& merge : model_.merges) insert_merge(merge, rank++);
    model_.merges = {};
}

std::uint64_t Bpe::pair_key(Token left, Token right) {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) |
           static_cast<std::uint32_t>(right);
}

std::size_t Bpe::first_slot(std::uint64_t pair) const {
    std::uint64_t x = pair * 0x9E3779B97F4A7C15ull;
    x ^= x >> 32;
    return static_cast<std::size_t>((x * 0xD6E8FEB86659FD93ull >> 16) & slot_mask_);
}

void Bpe::insert_merge(const BpeMerge& merge, std::uint32_t rank) {
    const std::uint64_t pair = pair_key(merge.left, merge.right);
    std::size_t i = first_slot(pair);
    while (slots_[i].pair != kEmptyPair && slots_[i].pair != pair) i = (i + 1) & slot_mask_;
    slots_[i] = Slot{pair, rank, merge.merged};
}

const Bpe::Slot* Bpe::find_merge(Token left, Token right) const {
    const std::uint64_t pair = pair_key(left, right);
    for (std::size_t i = first_slot(pair);; i = (i + 1) & slot_mask_) {
        if (slots_[i].pair == pair) return &slots_[i];
        if (slots_[i].pair == kEmptyPair) return nullptr;
    }
}

Status Bpe::split_bytes(std::string_view word, Workspace& workspace) const {
    auto& symbols = workspace.symbols_;
    symbols.clear();
    symbols.reserve(word.size());
    bool after_unknown = false;
    for (std::size_t i = 0; i < word.size(); ++i) {
        const auto byte = static_cast<unsigned char>(word[i]);
        Token token = model_.byte_tokens[byte];
        const bool unknown = token < 0;
        if (unknown) {
            if (!model_.unknown) {
                return invalid_argument(
                    "encode a word of {} bytes: byte 0x{:02x} at offset {} has no token, and the "
                    "vocabulary has no unknown token",
                    word.size(), byte, i);
            }
            if (after_unknown && model_.fuse_unknown) continue;
            token = *model_.unknown;
        }
        after_unknown = unknown;
        const auto index = static_cast<std::int32_t>(symbols.size());
        symbols.push_back({token, index - 1, index + 1});
    }
    if (!symbols.empty()) symbols.back().next = -1;
    return Status();
}

void Bpe::add_candidate(std::int32_t position, Workspace& workspace) const {
    const auto& symbols = workspace.symbols_;
    if (position < 0 || symbols[position].next < 0) return;
    const Token left = symbols[position].token;
    const Token right = symbols[symbols[position].next].token;
    if (const Slot* slot = find_merge(left, right)) {
        workspace.heap_.push_back({slot->rank, position, left, right, slot->merged});
    }
}

void Bpe::merge_all(Workspace& workspace) const {
    auto& symbols = workspace.symbols_;
    auto& heap = workspace.heap_;
    heap.clear();
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        add_candidate(static_cast<std::int32_t>(i), workspace);
    }
    std::make_heap(heap.begin(), heap.end(), Later());
    const auto push = [&](std::int32_t position) {
        const std::size_t before = heap.size();
        add_candidate(position, workspace);
        if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), Later());
    };
    while (!heap.empty()) {
        std::pop_heap(heap.begin(), heap.end(), Later());
        const Workspace::Candidate best = heap.back();
        heap.pop_back();
        auto& left = symbols[best.position];
        if (left.token != best.left || left.next < 0) continue;
        auto& right = symbols[left.next];
        if (right.token != best.right) continue;
        left.token = best.merged;
        left.next = right.next;
        right.token = -1;  // no candidate matches it any more
        if (left.next >= 0) symbols[left.next].previous = best.position;
        push(left.previous);
        push(best.position);
    }
}

Status Bpe::encode(std::string_view word, Workspace& workspace, std::vector<Token>& out) const {
    if (word.empty()) return Status();
    if (word.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        return invalid_argument("encode a word of {} bytes: at most 2^31 - 1 are permitted",
                                word.size());
    }
    if (!model_.whole_words.empty()) {
        const auto found = model_.whole_words.find(std::string(word));
        if (found != model_.whole_words.end()) {
            out.push_back(found->second);
            return Status();
        }
    }
    MOLINK_RETURN_IF_ERROR(split_bytes(word, workspace));
    merge_all(workspace);
    const auto& symbols = workspace.symbols_;
    for (std::int32_t i = symbols.empty() ? -1 : 0; i >= 0; i = symbols[i].next) {
        out.push_back(symbols[i].token);
    }
    return Status();
}

}  // namespace molink
