#include "device/cublas_lt.h"

#include <array>
#include <cstddef>
#include <map>
#include <utility>

#include "base/mutex.h"
#include "device/symbols.h"

namespace hearth {
namespace {

using Status = int;
using Handle = struct HandleOpaque*;
using Product = struct ProductOpaque*;
using Layout = struct LayoutOpaque*;
using Preference = struct PreferenceOpaque*;

// What hearth uses of cuBLASLt's binary interface, which is the same in versions 12 and 13.
constexpr std::array<const char*, 2> kLibraries{"libcublasLt.so.13", "libcublasLt.so.12"};
constexpr int kComputeFloat = 68;      // CUBLAS_COMPUTE_32F
constexpr int kFloat = 0;              // CUDA_R_32F
constexpr int kBFloat16 = 14;          // CUDA_R_16BF
constexpr int kTransposeFirst = 3;     // CUBLASLT_MATMUL_DESC_TRANSA
constexpr int kMaxWorkspaceBytes = 1;  // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
// CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, and of B, C and D.
constexpr std::array<int, 4> kMinAlignments{5, 6, 7, 8};
constexpr std::uint32_t kAlignment =
    16;  // as ProductOperands has it; 256 would be taken for granted
constexpr int kCandidates = 8;

struct Guess {  // cublasLtMatmulHeuristicResult_t
  ProductAlgorithm algorithm;
  std::size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Guess) == 96);

struct Api {
  Status (*create)(Handle* handle);
  Status (*product_create)(Product* product, int compute_type, int scale_type);
  Status (*product_set)(Product product, int attribute, const void* value, std::size_t bytes);
  Status (*layout_create)(Layout* layout, int type, std::uint64_t rows, std::uint64_t columns,
                          std::int64_t stride);
  Status (*preference_create)(Preference* preference);
  Status (*preference_set)(Preference preference, int attribute, const void* value,
                           std::size_t bytes);
  Status (*preference_destroy)(Preference preference);
  Status (*guess)(Handle handle, Product product, Layout a, Layout b, Layout c, Layout d,
                  Preference preference, int wanted, Guess* guesses, int* found);
  Status (*multiply)(Handle handle, Product product, const void* alpha, CuAddress a,
                     Layout a_layout, CuAddress b, Layout b_layout, const void* beta, CuAddress c,
                     Layout c_layout, CuAddress d, Layout d_layout, const void* algorithm,
                     CuAddress workspace, std::size_t workspace_bytes, CuStream stream);
};

// All or nothing: a library that lacks one is none.
bool Bind(void* library, Api& api) {
  Symbols symbols(library);
  symbols.Bind("cublasLtCreate", api.create);
  symbols.Bind("cublasLtMatmulDescCreate", api.product_create);
  symbols.Bind("cublasLtMatmulDescSetAttribute", api.product_set);
  symbols.Bind("cublasLtMatrixLayoutCreate", api.layout_create);
  symbols.Bind("cublasLtMatmulPreferenceCreate", api.preference_create);
  symbols.Bind("cublasLtMatmulPreferenceSetAttribute", api.preference_set);
  symbols.Bind("cublasLtMatmulPreferenceDestroy", api.preference_destroy);
  symbols.Bind("cublasLtMatmulAlgoGetHeuristic", api.guess);
  symbols.Bind("cublasLtMatmul", api.multiply);
  return symbols.has_all();
}

// Column by column, as cuBLAS sees memory: the weights are transposed, and so is the answer.
struct Layouts {
  Layout weight = nullptr;
  Layout x = nullptr;
  Layout out = nullptr;
};

class CublasLt : public ProductLibrary {
 public:
  CublasLt(std::shared_ptr<const CudaDevice> device, const Api& api)
      : device_(std::move(device)), api_(api) {}

  // Nothing of it is ever given back: the library may be gone when the process ends.
  bool Start() {
    const CurrentDevice current(*device_);
    const int transposed = 1;
    return api_.create(&handle_) == 0 &&
           api_.product_create(&product_, kComputeFloat, kFloat) == 0 &&
           api_.product_set(product_, kTransposeFirst, &transposed, sizeof transposed) == 0;
  }

  std::vector<ProductAlgorithm> Candidates(const ProductShape& shape) const override {
    const CurrentDevice current(*device_);
    const Layouts& layouts = LayoutsOf(shape);
    Preference preference = nullptr;
    if (layouts.out == nullptr || api_.preference_create(&preference) != 0) return {};
    std::array<Guess, kCandidates> guesses{};
    int found = 0;
    if (!Limit(preference) ||
        api_.guess(handle_, product_, layouts.weight, layouts.x, layouts.out, layouts.out,
                   preference, kCandidates, guesses.data(), &found) != 0) {
      found = 0;
    }
    static_cast<void>(api_.preference_destroy(preference));
    std::vector<ProductAlgorithm> algorithms;
    for (int i = 0; i < found; ++i) {
      const Guess& guess = guesses[static_cast<std::size_t>(i)];
      if (guess.state == 0 && guess.workspace_bytes == 0) algorithms.push_back(guess.algorithm);
    }
    return algorithms;
  }

  bool Multiply(const ProductShape& shape, const ProductAlgorithm& algorithm,
                const ProductOperands& operands, CuStream stream) const override {
    const CurrentDevice current(*device_);
    const Layouts& layouts = LayoutsOf(shape);
    const float one = 1.0F;
    const float none = 0.0F;
    return layouts.out != nullptr &&
           api_.multiply(handle_, product_, &one, operands.weight, layouts.weight, operands.x,
                         layouts.x, &none, operands.out, layouts.out, operands.out, layouts.out,
                         algorithm.words.data(), 0, 0, stream) == 0;
  }

 private:
  // No workspace, and operands as they may lie.
  bool Limit(Preference preference) const {
    const std::size_t none = 0;
    bool is_done = api_.preference_set(preference, kMaxWorkspaceBytes, &none, sizeof none) == 0;
    for (const int operand : kMinAlignments) {
      is_done =
          is_done && api_.preference_set(preference, operand, &kAlignment, sizeof kAlignment) == 0;
    }
    return is_done;
  }

  // Made once for each shape; null where cuBLASLt refused.
  const Layouts& LayoutsOf(const ProductShape& shape) const HEARTH_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const auto found = layouts_.find(shape);
    if (found != layouts_.end()) return found->second;
    const auto tokens = static_cast<std::uint64_t>(shape.tokens);
    const auto rows = static_cast<std::uint64_t>(shape.rows);
    const auto columns = static_cast<std::uint64_t>(shape.columns);
    Layouts made;
    if (api_.layout_create(&made.weight, kBFloat16, columns, rows, shape.columns) != 0 ||
        api_.layout_create(&made.x, kBFloat16, columns, tokens, shape.columns) != 0 ||
        api_.layout_create(&made.out, kBFloat16, rows, tokens, shape.rows) != 0) {
      made = {};
    }
    return layouts_.emplace(shape, made).first->second;
  }

  std::shared_ptr<const CudaDevice> device_;
  Api api_;
  Handle handle_ = nullptr;
  Product product_ = nullptr;
  mutable Mutex mutex_;
  mutable std::map<ProductShape, Layouts> layouts_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<const ProductLibrary> FindCublasLt(std::shared_ptr<const CudaDevice> device) {
  for (const char* const name : kLibraries) {
    void* const library = OpenLibrary(name);
    Api api{};
    if (library == nullptr || !Bind(library, api)) continue;
    auto found = std::make_shared<CublasLt>(device, api);
    if (found->Start()) return found;
  }
  return nullptr;
}

}  // namespace hearth
