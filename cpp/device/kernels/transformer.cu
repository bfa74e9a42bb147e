// Fused kernels of a transformer in bfloat16. Each does in one pass over memory what takes several
// operations on tensors, computes in float32 and rounds once.
//
// Compiled when a process first needs them, for its GPU; tests compile the same text for the host, so
// it includes nothing and uses of CUDA only what tests/cpp/fakes/host_kernels.h stands in for.

typedef unsigned short Bf16;

struct __align__(16) Eight {
  Bf16 v[8];
};
struct __align__(16) Quad {
  float v[4];
};

__device__ float Widen(Bf16 bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); }

// To the nearest, halves to even; what is no number stays none.
__device__ Bf16 Narrow(float value) {
  const unsigned bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Bf16>(bits >> 16 | 0x40u);
  return static_cast<Bf16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// How many eights of a row a thread holds: enough of them on their way to keep the memory busy, and few
// threads that have to wait for each other.
constexpr int kHeld = 4;

// A row of `eights` from memory to the threads of a block; zeros behind its end.
__device__ void Take(const Eight* row, int eights, Eight* held) {
  for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    held[i] = at < eights ? row[at] : Eight{};
  }
}

__device__ void Put(const Eight* held, int eights, Eight* row) {
  for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    if (at < eights) row[at] = held[i];
  }
}

__device__ float SquareSum(const Eight& numbers) {
  float sum = 0.0f;
  for (int i = 0; i < 8; ++i) sum += Widen(numbers.v[i]) * Widen(numbers.v[i]);
  return sum;
}

// Sum over the lanes whose numbers differ in the bits below 2 * `widest`.
__device__ float LaneSum(float value, int widest) {
  for (int mask = widest; mask > 0; mask >>= 1) value += __shfl_xor_sync(0xffffffffu, value, mask);
  return value;
}

__device__ float InverseRoot(float mean, float eps) { return 1.0f / sqrtf(mean + eps); }

// 1 / sqrt(mean(row^2) + eps), the same for every thread and in the same order at every run. `use`: 0,
// then 1, because nobody waits for those who still read. REQUIRES: blockDim.x is a multiple of 32,
// every thread of the block is here.
__device__ float RowInverse(const Eight* held, int eights, float eps, int use) {
  __shared__ float of_warps[2][32];
  float sum = 0.0f;
  for (int i = 0; i < kHeld; ++i) sum += SquareSum(held[i]);
  sum = LaneSum(sum, 16);
  if (threadIdx.x % 32 == 0) of_warps[use][threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0.0f;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += of_warps[use][warp];
  return InverseRoot(sum / (8.0f * eights), eps);
}

// held * factor * weight * scale; `scale` may be null.
__device__ void NormAndPut(const Eight* held, float factor, const Eight* __restrict__ weight,
                           const Eight* __restrict__ scale, Eight* out, int eights) {
  Eight result[kHeld] = {};
  for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    if (at >= eights) continue;
    const Eight weights = weight[at];
    const Eight scales = scale != nullptr ? scale[at] : Eight{};
    for (int j = 0; j < 8; ++j) {
      float value = Widen(held[i].v[j]) * factor * Widen(weights.v[j]);
      if (scale != nullptr) value *= Widen(scales.v[j]);
      result[i].v[j] = Narrow(value);
    }
  }
  Put(result, eights, out);
}

// out = x / sqrt(mean(x^2) + eps) * weight * scale. A block a row; `scale` may be null. REQUIRES: kHeld
// blockDim.x >= eights.
extern "C" __global__ void NormScale(const Eight* x, const Eight* __restrict__ weight,
                                     const Eight* __restrict__ scale, Eight* out, int eights,
                                     float eps) {
  const long long row = static_cast<long long>(blockIdx.x) * eights;
  Eight held[kHeld];
  Take(x + row, eights, held);
  NormAndPut(held, RowInverse(held, eights, eps, 0), weight, scale, out + row, eights);
}

// held += factor * branch * after * gate, rounded; `after` and `gate` may be null.
__device__ void AddGated(Eight* held, const Eight* branch, float factor,
                         const Eight* __restrict__ after, const Eight* __restrict__ gate,
                         int eights) {
  for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    if (at >= eights) continue;
    const Eight weights = after != nullptr ? after[at] : Eight{};
    const Eight gates = gate != nullptr ? gate[at] : Eight{};
    for (int j = 0; j < 8; ++j) {
      float value = Widen(branch[i].v[j]) * factor;
      if (after != nullptr) value *= Widen(weights.v[j]);
      if (gate != nullptr) value *= Widen(gates.v[j]);
      held[i].v[j] = Narrow(Widen(held[i].v[j]) + value);
    }
  }
}

// sum = x + gate * norm(branch), and of that sum, as rounded, out = norm(sum) * scale. A block a row.
// Without `after` the branch is not normed; `gate` and `scale` may be null, and so may `out`: then only
// the sum is made. `sum` may be `x`. REQUIRES: kHeld blockDim.x >= eights.
extern "C" __global__ void GateAddNorm(const Eight* x, const Eight* branch,
                                       const Eight* __restrict__ after,
                                       const Eight* __restrict__ gate,
                                       const Eight* __restrict__ before,
                                       const Eight* __restrict__ scale, Eight* sum, Eight* out,
                                       int eights, float eps) {
  const long long row = static_cast<long long>(blockIdx.x) * eights;
  Eight held[kHeld];
  Eight added[kHeld];
  Take(branch + row, eights, added);
  Take(x + row, eights, held);
  const float factor = after != nullptr ? RowInverse(added, eights, eps, 0) : 1.0f;
  AddGated(held, added, factor, after, gate, eights);
  Put(held, eights, sum + row);
  if (out == nullptr) return;
  NormAndPut(held, RowInverse(held, eights, eps, 1), before, scale, out + row, eights);
}

// Heads of 128 elements, `count` of them side by side in rows that begin every `stride` elements.
struct Heads {
  Bf16* first;
  const Eight* weight;
  int stride;
  int count;
};
// Angles of each token: tokens x 64, for pairs of neighbours or of what is 64 elements apart. Rows of
// all the batch share them.
struct Angles {
  const Quad* cosines;
  const Quad* sines;
  int tokens;
  int are_halves;
};

// Head number `index` of the queries, then the keys.
__device__ Eight* HeadAt(const Heads& queries, const Heads& keys, int index) {
  const Heads& heads = index < queries.count ? queries : keys;
  const int own = index < queries.count ? index : index - queries.count;
  return reinterpret_cast<Eight*>(heads.first + static_cast<long long>(blockIdx.x) * heads.stride +
                                  own * 128);
}

// Eight normed elements of a head, turned by its token's angles. `lane`: of the sixteen of a head.
__device__ Eight Turn(const float* values, const Angles& angles, int lane) {
  const long long row = static_cast<long long>(blockIdx.x % angles.tokens) * 16;
  Eight result;
  if (angles.are_halves != 0) {
    const float side = lane < 8 ? -1.0f : 1.0f;
    for (int half = 0; half < 2; ++half) {
      const Quad cosines = angles.cosines[row + lane % 8 * 2 + half];
      const Quad sines = angles.sines[row + lane % 8 * 2 + half];
      for (int i = 0; i < 4; ++i) {
        const float own = values[half * 4 + i];
        const float other = __shfl_xor_sync(0xffffffffu, own, 8);
        result.v[half * 4 + i] = Narrow(own * cosines.v[i] + side * other * sines.v[i]);
      }
    }
    return result;
  }
  const Quad cosines = angles.cosines[row + lane];
  const Quad sines = angles.sines[row + lane];
  for (int pair = 0; pair < 4; ++pair) {
    const float first = values[2 * pair];
    const float second = values[2 * pair + 1];
    result.v[2 * pair] = Narrow(first * cosines.v[pair] - second * sines.v[pair]);
    result.v[2 * pair + 1] = Narrow(first * sines.v[pair] + second * cosines.v[pair]);
  }
  return result;
}

// Norms each head of the queries and keys of a row and turns it by its token's angles, in place.
// blockIdx.x is the row; sixteen threads share a head, and have two: one in each half of them all.
extern "C" __global__ void HeadNormTurn(Heads queries, Heads keys, Angles angles, float eps) {
  const int lane = static_cast<int>(threadIdx.x % 16);
  const int heads = queries.count + keys.count;
  const int first = static_cast<int>(blockIdx.y * (blockDim.x / 16) + threadIdx.x / 16);
  const int apart = (heads + 1) / 2;
  Eight held[2];
  for (int i = 0; i < 2; ++i) {
    const int index = first + i * apart;
    const bool is_mine = first < apart && index < heads;
    held[i] = is_mine ? HeadAt(queries, keys, index)[lane] : Eight{};
  }
  for (int i = 0; i < 2; ++i) {
    const int index = first + i * apart;
    const float inverse = InverseRoot(LaneSum(SquareSum(held[i]), 8) / 128.0f, eps);
    const Eight weight = (index < queries.count ? queries : keys).weight[lane];
    float values[8];
    for (int j = 0; j < 8; ++j) values[j] = Widen(held[i].v[j]) * inverse * Widen(weight.v[j]);
    const Eight turned = Turn(values, angles, lane);
    if (first < apart && index < heads) HeadAt(queries, keys, index)[lane] = turned;
  }
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
