#ifndef HEARTH_DEVICE_PRODUCT_LIBRARY_H_
#define HEARTH_DEVICE_PRODUCT_LIBRARY_H_

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "device/driver_abi.h"

namespace hearth {

// out = x W^T of bfloat16: tokens x rows of tokens x columns and rows x columns, each row by row.
struct ProductShape {
  std::int64_t tokens;
  std::int64_t rows;
  std::int64_t columns;

  auto operator<=>(const ProductShape&) const = default;
};

// Where in device memory. REQUIRES: multiples of 16 bytes.
struct ProductOperands {
  CuAddress x;
  CuAddress weight;
  CuAddress out;
};

// A way of computing a product, in its library's own words.
struct ProductAlgorithm {
  std::array<std::uint64_t, 8> words{};

  bool operator==(const ProductAlgorithm&) const = default;
};

// Matrix products of one device. Thread-safe.
class ProductLibrary {
 public:
  virtual ~ProductLibrary() = default;

  // The ways that need no memory besides, the one that the library would take first. Empty: none.
  virtual std::vector<ProductAlgorithm> Candidates(const ProductShape& shape) const = 0;
  // Begins a product on a stream. False, and nothing begun: not in this way.
  virtual bool Multiply(const ProductShape& shape, const ProductAlgorithm& algorithm,
                        const ProductOperands& operands, CuStream stream) const = 0;
};

}  // namespace hearth

#endif  // HEARTH_DEVICE_PRODUCT_LIBRARY_H_
