#include "checkpoint/sharded_set.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "checkpoint/fault.h"
#include "checkpoint/printable.h"
#include "checkpoint/safetensors_header.h"

namespace hearth {
namespace {

constexpr std::string_view kShardSuffix = ".safetensors";

bool IsPlainShardName(std::string_view name) {
  return name.size() > kShardSuffix.size() && name.size() < 256 &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos &&
         name.substr(name.size() - kShardSuffix.size()) == kShardSuffix;
}

class ShardMapEvents final : public JsonEvents {
 public:
  explicit ShardMapEvents(const std::string& file_name) : file_name_(file_name) {}

  ShardMap TakeMap() {
    if (!has_weight_map_) {
      Refuse(file_name_, {.offset = 0,
                          .what = "there is no weight_map",
                          .expected = R"({"weight_map":{"tensor":"file.safetensors"}})"});
    }
    for (auto& [shard, tensors] : map_.tensors_by_shard) std::sort(tensors.begin(), tensors.end());
    return std::move(map_);
  }

  void OnKey(std::string_view key, std::uint64_t) override {
    if (depth_ == 1) section_ = key;
    key_ = key;
  }

  void OnScalar(const JsonScalar& value, std::uint64_t offset) override {
    if (section_ == "weight_map") {
      if (depth_ == 1) RefuseSection(offset, Describe(value));
      AddTensor(value, offset);
    } else if (section_ == "metadata" && depth_ == 2 && key_ == "total_size" &&
               value.kind == JsonScalar::Kind::kNatural) {
      map_.total_size = value.natural;
    }
  }

  void OnOpen(bool is_list, std::uint64_t offset) override {
    if (section_ == "weight_map") {
      if (depth_ == 1 && is_list) RefuseSection(offset, "a list");
      if (depth_ > 1) RefuseShard(offset, is_list ? "a list" : "an object");
      has_weight_map_ = true;
    }
    ++depth_;
  }

  void OnClose() override {
    if (--depth_ == 1) section_.clear();
  }

 private:
  [[noreturn]] void RefuseSection(std::uint64_t offset, const std::string& what) const {
    Refuse(file_name_, {.offset = offset,
                        .what = "the weight_map is " + what,
                        .expected = "an object of tensor names and file names"});
  }
  [[noreturn]] void RefuseShard(std::uint64_t offset, const std::string& what) const {
    Refuse(file_name_, {.offset = offset,
                        .what = "its file is " + what,
                        .expected = "the name of a .safetensors file in the same folder",
                        .tensor = key_});
  }
  void AddTensor(const JsonScalar& value, std::uint64_t offset) {
    if (value.kind != JsonScalar::Kind::kText || !IsPlainShardName(value.text)) {
      RefuseShard(offset, Describe(value));
    }
    if (tensors_++ == kMaxTensors) {
      Refuse(file_name_, {.offset = offset,
                          .what = "the weight_map names more tensors than hearth reads",
                          .expected = "at most " + std::to_string(kMaxTensors)});
    }
    map_.tensors_by_shard[std::string(value.text)].push_back(key_);
  }

  const std::string& file_name_;
  ShardMap map_;
  bool has_weight_map_ = false;
  std::size_t depth_ = 0;
  std::size_t tensors_ = 0;
  std::string section_;  // key of the root we are under
  std::string key_;
};

// Compares the shards with the map, one after the other.
class ShardComparison {
 public:
  ShardComparison(const std::string& index_name, const ShardMap& map)
      : index_name_(index_name), map_(map) {}

  void Add(const std::string& shard, const SafetensorsIndex& index) {
    for (const std::string& tensor : map_.tensors_by_shard.at(shard)) {
      if (index.Find(tensor) == nullptr) {
        Refuse(index_name_, {.offset = 0,
                             .what = Printable(shard) + " does not hold this tensor",
                             .expected = "each tensor in the file that the weight_map names; the "
                                         "files are not of one set, so download them again",
                             .tensor = tensor});
      }
    }
    for (const TensorInfo& tensor : index.tensors()) {
      const auto [first, is_new] = shard_of_.emplace(tensor.name, shard);
      if (!is_new) {
        Refuse(index_name_, {.offset = 0,
                             .what = "both " + Printable(first->second) + " and " +
                                     Printable(shard) + " hold this tensor",
                             .expected = "each tensor in one file",
                             .tensor = tensor.name});
      }
      tensor_bytes_ = CheckedAdd(tensor_bytes_, tensor.size).value_or(~std::uint64_t{0});
    }
    listed_ += map_.tensors_by_shard.at(shard).size();
  }

  ShardedSet Finish() const {
    ShardedSet set{
        .shards = {}, .tensors = shard_of_.size(), .tensor_bytes = tensor_bytes_, .warnings = {}};
    for (const auto& [shard, tensors] : map_.tensors_by_shard) set.shards.push_back(shard);
    if (shard_of_.size() > listed_) {
      set.warnings.push_back(std::to_string(shard_of_.size() - listed_) +
                             " tensor(s) in the files are not in the weight_map");
    }
    if (map_.total_size && *map_.total_size != tensor_bytes_) {
      set.warnings.push_back("total_size says " + std::to_string(*map_.total_size) +
                             " bytes, the tensors have " + std::to_string(tensor_bytes_));
    }
    return set;
  }

 private:
  const std::string& index_name_;
  const ShardMap& map_;
  std::map<std::string, std::string> shard_of_;
  std::size_t listed_ = 0;
  std::uint64_t tensor_bytes_ = 0;
};

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

std::string ReadAll(const CheckpointFile& file) {
  if (file.size() > kMaxHeaderBytes) {
    Refuse(file.name(), {.offset = kMaxHeaderBytes,
                         .what = "the file is too large for an index of shards",
                         .expected = "at most " + std::to_string(kMaxHeaderBytes) + " bytes"});
  }
  std::string text(file.size(), '\0');
  ReadExactly(file, 0, text.data(), text.size());
  file.RequireUnchanged();
  return text;
}

}  // namespace

ShardMap ParseShardMap(const JsonText& json) {
  ShardMapEvents events(json.file_name);
  ReadStrictJson(json, events);
  return events.TakeMap();
}

ShardedSet CheckShards(const std::string& index_name, const ShardMap& map, const OpenShard& open) {
  ShardComparison comparison(index_name, map);
  for (const auto& [shard, tensors] : map.tensors_by_shard) comparison.Add(shard, open(shard));
  return comparison.Finish();
}

ShardedSet CheckShardedSet(const std::string& index_path, const AllowedRoots& roots) {
  const CheckpointFile file(index_path, roots);
  const std::string text = ReadAll(file);
  const ShardMap map = ParseShardMap({file.name(), text, 0});
  const std::string folder = FolderOf(index_path);
  return CheckShards(file.name(), map, [&](const std::string& shard) {
    return SafetensorsIndex::ReadFile(folder + shard, roots);
  });
}

}  // namespace hearth
