// Any text as the index of a sharded set, over shards in memory. A shard is asked for by a plain
// file name only, whatever the text says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "checkpoint/file_bytes.h"
#include "checkpoint/memory_source.h"
#include "checkpoint/sharded_set.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

hearth::SafetensorsIndex OpenShard(const std::string& file_name) {
  Require(file_name.find_first_of(std::string("/\\\0", 3)) == std::string::npos);
  Require(file_name != "." && file_name != ".." && file_name.size() < 256);
  if (file_name.size() % 3 == 0) throw hearth::CheckpointNotFound("no such shard");
  // Each shard holds the tensors "a" and "b", so that a set of two is refused.
  const std::string header = "{" + hearth::Entry("a", "U8", "[1]", "[0,1]") + "," +
                             hearth::Entry("b", "U8", "[1]", "[1,2]") + "}";
  return hearth::SafetensorsIndex::Read(hearth::MemorySource(hearth::FileBytes(header, 2)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string name = "model.safetensors.index.json";
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const hearth::ShardMap map = hearth::ParseShardMap({name, text, 0});
    const hearth::ShardedSet set = hearth::CheckShards(name, map, OpenShard);
    Require(set.shards.size() == map.tensors_by_shard.size());
    Require(set.tensors == 2 * set.shards.size());
  } catch (const hearth::CheckpointCorrupt& error) {
    Require(error.byte_offset() <= size);
  } catch (const hearth::CheckpointNotFound&) {
  }
  return 0;
}
