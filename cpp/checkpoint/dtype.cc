#include "checkpoint/dtype.h"

#include <array>
#include <cstddef>

namespace hearth {
namespace {

struct DtypeFacts {
  std::string_view name;
  unsigned bits;
};

// In the order of the enumeration.
constexpr std::array<DtypeFacts, 22> kFacts = {{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};
static_assert(kFacts.size() == static_cast<std::size_t>(Dtype::kU64) + 1);

const DtypeFacts& FactsOf(Dtype dtype) { return kFacts[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::string_view ToString(Dtype dtype) { return FactsOf(dtype).name; }

std::optional<Dtype> DtypeFromString(std::string_view word) {
  for (std::size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].name == word) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

unsigned BitsOf(Dtype dtype) { return FactsOf(dtype).bits; }

std::string ListDtypes() {
  std::string list;
  for (const DtypeFacts& facts : kFacts) {
    if (!list.empty()) list += ", ";
    list += facts.name;
  }
  return list;
}

}  // namespace hearth
