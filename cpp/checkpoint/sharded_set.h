#ifndef HEARTH_CHECKPOINT_SHARDED_SET_H_
#define HEARTH_CHECKPOINT_SHARDED_SET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/safetensors_index.h"
#include "checkpoint/strict_json.h"

namespace hearth {

// What a `….safetensors.index.json` says: which file holds which tensor.
struct ShardMap {
  std::map<std::string, std::vector<std::string>> tensors_by_shard;  // names sorted
  std::optional<std::uint64_t> total_size;  // of all tensors, in bytes, where it is told
};

// Reads the JSON. A shard's name is an entry of the same folder, never a path.
// Throws CheckpointCorrupt.
ShardMap ParseShardMap(const JsonText& json);

struct ShardedSet {
  std::vector<std::string> shards;  // file names, sorted
  std::size_t tensors = 0;
  std::uint64_t tensor_bytes = 0;
  std::vector<std::string> warnings;
};

// Opens one shard by its file name; throws what SafetensorsIndex::ReadFile throws.
using OpenShard = std::function<SafetensorsIndex(const std::string& file_name)>;

// Checks the map against its files: each there and good, each tensor where the map says and nowhere
// else. Throws CheckpointCorrupt naming the index file or the shard, or CheckpointNotFound.
ShardedSet CheckShards(const std::string& index_name, const ShardMap& map, const OpenShard& open);

// The same for an index file on disk; its shards lie beside it.
ShardedSet CheckShardedSet(const std::string& index_path, const AllowedRoots& roots = {});

}  // namespace hearth

#endif  // HEARTH_CHECKPOINT_SHARDED_SET_H_
