#include "checkpoint/safetensors_header.h"

#include <array>
#include <utility>

#include "checkpoint/fault.h"
#include "checkpoint/printable.h"

namespace hearth {
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr const char* kTensorShape =
    R"(an object like {"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]})";

enum class Field { kDtype, kShape, kOffsets, kUnknown };

// Follows the header's nesting: root, one tensor or the metadata, a list in it, or something
// unknown.
class HeaderEvents final : public JsonEvents {
 public:
  HeaderEvents(const std::string& file_name, std::size_t most_tensors)
      : file_name_(file_name), most_tensors_(most_tensors) {}

  SafetensorsHeader TakeHeader() {
    if (unknown_fields_ > 0) {
      header_.warnings.push_back(std::to_string(unknown_fields_) +
                                 " field(s) that the format does not know, the first at byte " +
                                 std::to_string(first_unknown_at_) + "; they are ignored");
    }
    return std::move(header_);
  }

  void OnKey(std::string_view key, std::uint64_t offset) override {
    switch (place_) {
      case Place::kRoot:
        return BeginEntry(key, offset);
      case Place::kTensor:
        return BeginField(key, offset);
      case Place::kMetadata:
        metadata_key_ = key;
        return;
      default:
        return;  // inside an unknown field
    }
  }

  void OnScalar(const JsonScalar& value, std::uint64_t offset) override {
    switch (place_) {
      case Place::kRoot:
        if (in_metadata_ && value.kind == JsonScalar::Kind::kNull) return;
        RefuseValue(offset, "the entry is " + Describe(value),
                    in_metadata_ ? "an object of texts, or null" : kTensorShape);
      case Place::kMetadata:
        return AddMetadata(value, offset);
      case Place::kTensor:
        return SetField(value, offset);
      case Place::kList:
        return AddNumber(value, offset);
      case Place::kStart:
      case Place::kUnknown:
        return;
    }
  }

  void OnOpen(bool is_list, std::uint64_t offset) override {
    switch (place_) {
      case Place::kStart:
        place_ = Place::kRoot;
        return;
      case Place::kRoot:
        if (is_list) {
          RefuseValue(offset, "the entry is a list",
                      in_metadata_ ? "an object of texts, or null" : kTensorShape);
        }
        place_ = in_metadata_ ? Place::kMetadata : Place::kTensor;
        return;
      case Place::kMetadata:
        RefuseValue(offset,
                    std::string("a metadata value is ") + (is_list ? "a list" : "an object"),
                    "a text; have the file saved again with its metadata as texts");
      case Place::kTensor:
        return OpenField(is_list, offset);
      case Place::kList:
        RefuseValue(offset, NameOf(field_) + " holds a list or object", "whole numbers, 0 or more");
      case Place::kUnknown:
        ++unknown_depth_;
        return;
    }
  }

  void OnClose() override {
    switch (place_) {
      case Place::kTensor:
        EndTensor();
        [[fallthrough]];
      case Place::kMetadata:
        place_ = Place::kRoot;
        return;
      case Place::kList:
        EndList();
        place_ = Place::kTensor;
        return;
      case Place::kUnknown:
        if (--unknown_depth_ == 0) place_ = Place::kTensor;
        return;
      default:
        return;
    }
  }

 private:
  enum class Place { kStart, kRoot, kTensor, kMetadata, kList, kUnknown };

  static std::string NameOf(Field field) {
    return field == Field::kDtype ? "dtype" : field == Field::kShape ? "shape" : "data_offsets";
  }
  bool Has(Field field) const { return seen_[static_cast<std::size_t>(field)]; }

  [[noreturn]] void RefuseValue(std::uint64_t offset, std::string what,
                                std::string expected) const {
    Refuse(file_name_, {offset, std::move(what), std::move(expected),
                        in_metadata_ ? std::string() : tensor_.name});
  }

  void BeginEntry(std::string_view key, std::uint64_t offset) {
    tensor_ = {};
    tensor_.declared_at = offset;
    seen_ = {};
    in_metadata_ = key == kMetadataKey;
    if (in_metadata_) return;
    if (key.size() > kMaxNameBytes) {
      RefuseValue(offset, "a tensor's name has " + std::to_string(key.size()) + " bytes",
                  "at most " + std::to_string(kMaxNameBytes));
    }
    if (header_.tensors.size() == most_tensors_) {
      RefuseValue(offset, "the header names more tensors than hearth reads",
                  "at most " + std::to_string(most_tensors_));
    }
    tensor_.name = key;
  }

  void BeginField(std::string_view key, std::uint64_t offset) {
    field_ = key == "dtype"          ? Field::kDtype
             : key == "shape"        ? Field::kShape
             : key == "data_offsets" ? Field::kOffsets
                                     : Field::kUnknown;
    seen_[static_cast<std::size_t>(field_)] = true;
    if (field_ == Field::kUnknown && unknown_fields_++ == 0) first_unknown_at_ = offset;
  }

  void AddMetadata(const JsonScalar& value, std::uint64_t offset) {
    if (value.kind != JsonScalar::Kind::kText) {
      RefuseValue(offset, "the metadata \"" + Printable(metadata_key_) + "\" is " + Describe(value),
                  "a text; have the file saved again with its metadata as texts");
    }
    header_.metadata.insert_or_assign(metadata_key_, std::string(value.text));
  }

  void SetField(const JsonScalar& value, std::uint64_t offset) {
    if (field_ == Field::kUnknown) return;
    if (field_ != Field::kDtype) {
      RefuseValue(offset, "its " + NameOf(field_) + " is " + Describe(value), "a list of numbers");
    }
    const std::optional<Dtype> dtype =
        value.kind == JsonScalar::Kind::kText ? DtypeFromString(value.text) : std::nullopt;
    if (!dtype) RefuseValue(offset, "its dtype is " + Describe(value), "one of " + ListDtypes());
    tensor_.dtype = *dtype;
  }

  void OpenField(bool is_list, std::uint64_t offset) {
    if (field_ == Field::kUnknown) {
      unknown_depth_ = 1;
      place_ = Place::kUnknown;
      return;
    }
    if (field_ == Field::kDtype) {
      RefuseValue(offset, "its dtype is a list or object", "one of " + ListDtypes());
    }
    if (!is_list)
      RefuseValue(offset, "its " + NameOf(field_) + " is an object", "a list of numbers");
    place_ = Place::kList;
    numbers_.clear();
    list_at_ = offset;
  }

  void AddNumber(const JsonScalar& value, std::uint64_t offset) {
    if (value.kind != JsonScalar::Kind::kNatural) {
      RefuseValue(offset, "its " + NameOf(field_) + " holds " + Describe(value),
                  "whole numbers from 0 to 18446744073709551615, written in digits only");
    }
    if (numbers_.size() == kMaxRank) {
      RefuseValue(offset, "its " + NameOf(field_) + " is too long",
                  "at most " + std::to_string(kMaxRank) + " dimensions");
    }
    numbers_.push_back(value.natural);
  }

  void EndList() {
    if (field_ == Field::kShape) {
      tensor_.shape = numbers_;
      return;
    }
    if (numbers_.size() != 2) {
      RefuseValue(list_at_,
                  "its data_offsets holds " + std::to_string(numbers_.size()) + " numbers",
                  "two: where the data begins and where it ends");
    }
    tensor_.begin = numbers_[0];
    tensor_.end = numbers_[1];
    if (tensor_.end < tensor_.begin) {
      RefuseValue(list_at_,
                  "its data ends (" + std::to_string(tensor_.end) + ") before it begins (" +
                      std::to_string(tensor_.begin) + ")",
                  "the smaller offset first");
    }
  }

  void EndTensor() {
    for (const Field field : {Field::kDtype, Field::kShape, Field::kOffsets}) {
      if (!Has(field)) RefuseValue(tensor_.declared_at, "it has no " + NameOf(field), kTensorShape);
    }
    header_.tensors.push_back(std::move(tensor_));
  }

  const std::string& file_name_;
  const std::size_t most_tensors_;
  SafetensorsHeader header_;
  Place place_ = Place::kStart;
  bool in_metadata_ = false;
  DeclaredTensor tensor_;
  Field field_ = Field::kUnknown;
  std::array<bool, 4> seen_{};
  std::vector<std::uint64_t> numbers_;
  std::uint64_t list_at_ = 0;
  std::string metadata_key_;
  std::size_t unknown_depth_ = 0;
  std::size_t unknown_fields_ = 0;
  std::uint64_t first_unknown_at_ = 0;
};

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(const JsonText& json, std::size_t most_tensors) {
  HeaderEvents events(json.file_name, most_tensors);
  ReadStrictJson(json, events);
  return events.TakeHeader();
}

}  // namespace hearth
