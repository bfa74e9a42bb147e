#include "zimage/matrix_products.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace hearth {
namespace {

constexpr std::int64_t kTokens = 256;
constexpr std::int64_t kSide = 1024;
const at::TensorOptions kShort = at::TensorOptions(at::kBFloat16);

at::Tensor In(CuAddress address, std::int64_t rows, std::int64_t columns) {
  return at::from_blob(reinterpret_cast<void*>(address), {rows, columns}, kShort);
}

ProductAlgorithm Way(std::uint64_t number) {
  ProductAlgorithm algorithm;
  algorithm.words[0] = number;
  return algorithm;
}

// Computes on the host; way 2 gives other bits, way 3 nothing. Remembers which it was asked for.
class FakeLibrary : public ProductLibrary {
 public:
  explicit FakeLibrary(std::vector<ProductAlgorithm> ways) : ways_(std::move(ways)) {}

  std::vector<ProductAlgorithm> Candidates(const ProductShape&) const override {
    ++questions;
    return ways_;
  }
  bool Multiply(const ProductShape& shape, const ProductAlgorithm& algorithm,
                const ProductOperands& operands, CuStream) const override {
    last = algorithm.words[0];
    if (last == 3) return false;
    at::Tensor y = at::linear(In(operands.x, shape.tokens, shape.columns),
                              In(operands.weight, shape.rows, shape.columns));
    if (last == 2) y = y.add(1);
    In(operands.out, shape.tokens, shape.rows).copy_(y);
    return true;
  }

  mutable std::uint64_t last = 0;
  mutable int questions = 0;

 private:
  std::vector<ProductAlgorithm> ways_;
};

// Way n takes as many milliseconds as the fake says, whatever the clock does.
MatrixProducts Products(const std::shared_ptr<FakeLibrary>& library, std::vector<double> ms) {
  return MatrixProducts(library,
                        [library, ms = std::move(ms)](const at::Tensor&, const auto& work) {
                          work();
                          return ms.at(library->last);
                        });
}

struct Operands {
  at::Tensor x = at::rand({1, kTokens, kSide}).to(at::kBFloat16);
  at::Tensor weight = at::rand({kSide, kSide}).to(at::kBFloat16);
};

TEST(MatrixProductsTest, FastestWayIsTakenAndGivesTheProduct) {
  const auto library = std::make_shared<FakeLibrary>(std::vector{Way(0), Way(1)});
  const MatrixProducts products = Products(library, {1.0, 0.5});
  const Operands given;
  ASSERT_TRUE(products.Takes(given.x, given.weight));
  const auto y = products.Multiply(given.x, given.weight);
  ASSERT_TRUE(y.has_value());
  EXPECT_EQ(library->last, 1U);
  EXPECT_TRUE(at::equal(*y, at::linear(given.x, given.weight)));
}

TEST(MatrixProductsTest, WayThatChangesABitIsNotTaken) {
  const auto library = std::make_shared<FakeLibrary>(std::vector{Way(0), Way(2)});
  const MatrixProducts products = Products(library, {1.0, 9.0, 0.1});
  const Operands given;
  const auto y = products.Multiply(given.x, given.weight);
  EXPECT_EQ(library->last, 0U);
  EXPECT_TRUE(at::equal(*y, at::linear(given.x, given.weight)));
}

TEST(MatrixProductsTest, WayThatIsHardlyFasterLeavesTheLibrarysGuess) {
  const auto library = std::make_shared<FakeLibrary>(std::vector{Way(0), Way(1)});
  const MatrixProducts products = Products(library, {1.0, 0.99});
  const Operands given;
  ASSERT_TRUE(products.Multiply(given.x, given.weight).has_value());
  EXPECT_EQ(library->last, 0U);
}

TEST(MatrixProductsTest, WaysAreTriedOnceForAShape) {
  const auto library = std::make_shared<FakeLibrary>(std::vector{Way(0), Way(1)});
  const MatrixProducts products = Products(library, {1.0, 0.5});
  const Operands given;
  for (int i = 0; i < 3; ++i) products.Multiply(given.x, given.weight);
  EXPECT_EQ(library->questions, 1);
  products.Multiply(at::ones({2, kTokens, kSide}, kShort), given.weight);
  EXPECT_EQ(library->questions, 2);
}

TEST(MatrixProductsTest, ShapeThatNoWayComputesIsLeftToOthers) {
  const Operands given;
  for (const std::vector<ProductAlgorithm>& ways : {std::vector<ProductAlgorithm>{}, {Way(3)}}) {
    const auto library = std::make_shared<FakeLibrary>(ways);
    EXPECT_FALSE(Products(library, {}).Multiply(given.x, given.weight).has_value());
  }
}

TEST(MatrixProductsTest, SmallWideAndForeignOperandsAreNotTaken) {
  const auto library = std::make_shared<FakeLibrary>(std::vector{Way(0)});
  const MatrixProducts products = Products(library, {1.0});
  const Operands given;
  EXPECT_FALSE(products.Takes(given.x.narrow(1, 0, 255).contiguous(), given.weight));
  EXPECT_FALSE(products.Takes(given.x.to(at::kFloat), given.weight.to(at::kFloat)));
  EXPECT_FALSE(products.Takes(given.x, given.weight.t()));
  EXPECT_FALSE(products.Takes(given.x, given.weight.narrow(0, 0, 8)));
  EXPECT_FALSE(MatrixProducts(nullptr).Takes(given.x, given.weight));
}

}  // namespace
}  // namespace hearth
