#include "device/row_quantiser.h"

#include <utility>

namespace hearth {
namespace {

constexpr std::int64_t kEight = 8;
constexpr std::int64_t kHeld = 4;  // as in the text
constexpr std::int64_t kWarp = 32;

}  // namespace

RowQuantiser::RowQuantiser(std::shared_ptr<const CudaDevice> device)
    : module_(std::move(device), QuantiseKernelText(), "quantise.cu"),
      quantise_rows_(module_.Find("QuantiseRows")) {}

void RowQuantiser::Run(const Arguments& arguments, CuStream stream) const {
  Arguments copy = arguments;
  int eights = static_cast<int>(arguments.width / kEight);
  void* list[] = {&copy.x, &copy.out, &copy.scales, &eights};
  const std::int64_t warps = (eights + kHeld * kWarp - 1) / (kHeld * kWarp);
  module_.Launch(quantise_rows_,
                 {static_cast<unsigned>(arguments.rows), 1, static_cast<unsigned>(warps * kWarp)},
                 stream, list);
}

}  // namespace hearth
