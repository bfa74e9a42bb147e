// Fused kernels of a transformer in bfloat16. Each does in one pass over memory what takes several
// operations on tensors, computes in float32 and rounds once.
//
// Compiled when a process first needs them, for its GPU; tests compile the same text for the host, so
// it includes nothing and uses of CUDA only what tests/cpp/fakes/host_kernels.h stands in for.

typedef unsigned short Bf16;

struct __align__(8) Four {
  Bf16 v[4];
};
struct __align__(16) Eight {
  Bf16 v[8];
};

__device__ float Widen(Bf16 bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); }

// To the nearest, halves to even; what is no number stays none.
__device__ Bf16 Narrow(float value) {
  const unsigned bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Bf16>(bits >> 16 | 0x40u);
  return static_cast<Bf16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

__device__ float WarpSum(float value) {
  for (int mask = 16; mask > 0; mask >>= 1) value += __shfl_xor_sync(0xffffffffu, value, mask);
  return value;
}

// The same sum for every thread, in the same order at every run. REQUIRES: blockDim.x is a multiple of
// 32, every thread of the block is here.
__device__ float BlockSum(float value) {
  __shared__ float of_warps[32];
  value = WarpSum(value);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += of_warps[warp];
  __syncthreads();
  return sum;
}

__device__ void WidenAll(const Eight* from, float* to) {
  for (int i = 0; i < 8; ++i) to[i] = Widen(from->v[i]);
}

__device__ float SquareSum(const float* values) {
  float sum = 0.0f;
  for (int i = 0; i < 8; ++i) sum += values[i] * values[i];
  return sum;
}

__device__ float InverseRoot(float mean, float eps) { return 1.0f / sqrtf(mean + eps); }

// out = x / sqrt(mean(x^2) + eps) * weight * scale. A block a row, a thread for eight elements; `scale`
// may be null.
extern "C" __global__ void NormScale(const Eight* x, const Eight* weight, const Eight* scale,
                                     Eight* out, int eights, float eps) {
  const long long at = static_cast<long long>(blockIdx.x) * eights + threadIdx.x;
  const bool is_mine = static_cast<int>(threadIdx.x) < eights;
  float values[8] = {};
  if (is_mine) WidenAll(x + at, values);
  const float inverse = InverseRoot(BlockSum(SquareSum(values)) / (8.0f * eights), eps);
  if (!is_mine) return;
  Eight result;
  for (int i = 0; i < 8; ++i) {
    float value = values[i] * inverse * Widen(weight[threadIdx.x].v[i]);
    if (scale != nullptr) value *= Widen(scale[threadIdx.x].v[i]);
    result.v[i] = Narrow(value);
  }
  out[at] = result;
}

// sum = x + gate * norm(branch), and of that sum, as rounded, out = norm(sum) * scale. A block a row, a
// thread for eight elements; `gate` and `scale` may be null, and so may `out`: then only the sum is
// made. `sum` may be `x`.
extern "C" __global__ void GateAddNorm(const Eight* x, const Eight* branch, const Eight* after,
                                       const Eight* gate, const Eight* before, const Eight* scale,
                                       Eight* sum, Eight* out, int eights, float eps) {
  const long long at = static_cast<long long>(blockIdx.x) * eights + threadIdx.x;
  const bool is_mine = static_cast<int>(threadIdx.x) < eights;
  float values[8] = {};
  if (is_mine) WidenAll(branch + at, values);
  const float inverse = InverseRoot(BlockSum(SquareSum(values)) / (8.0f * eights), eps);
  if (is_mine) {
    Eight total;
    for (int i = 0; i < 8; ++i) {
      float value = values[i] * inverse * Widen(after[threadIdx.x].v[i]);
      if (gate != nullptr) value *= Widen(gate[threadIdx.x].v[i]);
      total.v[i] = Narrow(Widen(x[at].v[i]) + value);
      values[i] = Widen(total.v[i]);
    }
    sum[at] = total;
  }
  if (out == nullptr) return;
  const float second = InverseRoot(BlockSum(SquareSum(values)) / (8.0f * eights), eps);
  if (!is_mine) return;
  Eight result;
  for (int i = 0; i < 8; ++i) {
    float value = values[i] * second * Widen(before[threadIdx.x].v[i]);
    if (scale != nullptr) value *= Widen(scale[threadIdx.x].v[i]);
    result.v[i] = Narrow(value);
  }
  out[at] = result;
}

// Norms each head of 128 elements and turns its pairs of neighbours by its token's angles, in place. A
// warp a head; blockIdx.x is the row, `tokens` rows share one set of angles (tokens x 64).
extern "C" __global__ void HeadNormTurn(Bf16* x, int row_stride, int heads, const Bf16* weight,
                                        const float* cosines, const float* sines, int tokens,
                                        float eps) {
  const int head = static_cast<int>(blockIdx.y * (blockDim.x / 32) + threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const bool is_mine = head < heads;
  Four* const place = reinterpret_cast<Four*>(x + static_cast<long long>(blockIdx.x) * row_stride +
                                              (is_mine ? head : 0) * 128 + lane * 4);
  const Four read = *place;
  float values[4];
  float squares = 0.0f;
  for (int i = 0; i < 4; ++i) {
    values[i] = Widen(read.v[i]);
    squares += values[i] * values[i];
  }
  const float inverse = InverseRoot(WarpSum(squares) / 128.0f, eps);
  for (int i = 0; i < 4; ++i) values[i] *= inverse * Widen(weight[lane * 4 + i]);
  const int angles = static_cast<int>(blockIdx.x % tokens) * 64 + lane * 2;
  Four result;
  for (int pair = 0; pair < 2; ++pair) {
    const float cosine = cosines[angles + pair];
    const float sine = sines[angles + pair];
    result.v[2 * pair] = Narrow(values[2 * pair] * cosine - values[2 * pair + 1] * sine);
    result.v[2 * pair + 1] = Narrow(values[2 * pair] * sine + values[2 * pair + 1] * cosine);
  }
  if (is_mine) *place = result;
}

// gate = gate / (1 + e^-gate) * up, in place, eight elements a thread.
extern "C" __global__ void SiluMul(Eight* gate, const Eight* up, long long eights) {
  const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= eights) return;
  Eight result;
  for (int i = 0; i < 8; ++i) {
    const float value = Widen(gate[at].v[i]);
    result.v[i] = Narrow(value / (1.0f + expf(-value)) * Widen(up[at].v[i]));
  }
  gate[at] = result;
}
