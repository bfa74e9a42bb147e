// Fused kernels of a transformer in bfloat16. Each does in one pass over memory what takes several
// operations on tensors, computes in float32 and rounds once.
//
// Compiled behind eights.cuh when a process first needs them, for its GPU; tests compile the same
// text for the host, so it uses of CUDA only what tests/cpp/fakes/host_kernels.h stands in for.

__device__ float SquareSum(const Eight& numbers) {
  float values[8];
  Widen(numbers, values);
  float sum = 0.0f;
  UNROLLED for (int i = 0; i < 8; ++i) sum += values[i] * values[i];
  return sum;
}

__device__ void Put(const Eight* held, int eights, Eight* row) {
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    if (at < eights) row[at] = held[i];
  }
}

// What a thread multiplies its part of every row with: first * second, ones for what is null.
__device__ void TakeFactors(const Eight* first, const Eight* second, int eights, float* factors) {
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    const int at = static_cast<int>(threadIdx.x + i * blockDim.x);
    float other[8];
    UNROLLED for (int j = 0; j < 8; ++j) factors[8 * i + j] = other[j] = 1.0f;
    if (first != nullptr && at < eights) Widen(Load(first + at), factors + 8 * i);
    if (second != nullptr && at < eights) Widen(Load(second + at), other);
    UNROLLED for (int j = 0; j < 8; ++j) factors[8 * i + j] *= other[j];
  }
}

// Sum over the lanes whose numbers differ in the bits below 2 * `widest`.
__device__ float LaneSum(float value, int widest) {
  for (int mask = widest; mask > 0; mask >>= 1) value += __shfl_xor_sync(0xffffffffu, value, mask);
  return value;
}

__device__ float InverseRoot(float mean, float eps) { return 1.0f / sqrtf(mean + eps); }

// 1 / sqrt(mean(row^2) + eps), the same for every thread and in the same order at every run.
// `turn`: another at each call, 0 or 1, because nobody waits for those who still read. REQUIRES:
// blockDim.x is a multiple of 32, every thread of the block is here.
__device__ float RowInverse(const Eight* held, int eights, float eps, int turn) {
  __shared__ float of_warps[2][32];
  float sum = 0.0f;
  UNROLLED for (int i = 0; i < kHeld; ++i) sum += SquareSum(held[i]);
  sum = LaneSum(sum, 16);
  if (threadIdx.x % 32 == 0) of_warps[turn][threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0.0f;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += of_warps[turn][warp];
  return InverseRoot(sum / (8.0f * eights), eps);
}

// held * inverse * factors, to `row`.
__device__ void ScaleAndPut(const Eight* held, float inverse, const float* factors, int eights,
                            Eight* row) {
  Eight result[kHeld];
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    float values[8];
    Widen(held[i], values);
    UNROLLED for (int j = 0; j < 8; ++j) values[j] *= inverse * factors[8 * i + j];
    result[i] = Narrow(values);
  }
  Put(result, eights, row);
}

// out = x / sqrt(mean(x^2) + eps) * weight * scale. A block a row; `scale` may be null. REQUIRES:
// kHeld blockDim.x >= eights.
extern "C" __global__ void NormScale(const Eight* x, const Eight* weight, const Eight* scale,
                                     Eight* out, int eights, float eps) {
  const long long row = static_cast<long long>(blockIdx.x) * eights;
  Eight held[kHeld];
  float factors[8 * kHeld];
  Take(x + row, eights, held);
  TakeFactors(weight, scale, eights, factors);
  ScaleAndPut(held, RowInverse(held, eights, eps, 0), factors, eights, out + row);
}

// What GateAddNorm() reads and writes: `x`, `branch`, `sum` and `out` by rows, the others for every
// row.
struct GateAddNormArguments {
  const Eight* x;
  const Eight* branch;
  const Eight* after;
  const Eight* gate;
  const Eight* before;
  const Eight* scale;
  Eight* sum;
  Eight* out;
};

// held += inverse * branch * factors, rounded.
__device__ void AddScaled(Eight* held, const Eight* branch, float inverse, const float* factors) {
  UNROLLED for (int i = 0; i < kHeld; ++i) {
    float values[8];
    float added[8];
    Widen(held[i], values);
    Widen(branch[i], added);
    UNROLLED for (int j = 0; j < 8; ++j) values[j] += added[j] * (inverse * factors[8 * i + j]);
    held[i] = Narrow(values);
  }
}

// sum = x + gate * norm(branch), and of that sum, as rounded, out = norm(sum) * scale. A block
// takes every so many rows, and reads the next one before it computes. Without `after` the branch
// is not normed; `gate` and `scale` may be null, and so may `out`: then only the sum is made. `sum`
// may be `x`. REQUIRES: kHeld blockDim.x >= eights.
extern "C" __global__ void GateAddNorm(GateAddNormArguments all, int rows, int eights, float eps) {
  float back[8 * kHeld];
  float forth[8 * kHeld];
  TakeFactors(all.after, all.gate, eights, back);
  TakeFactors(all.before, all.scale, eights, forth);
  const long long step = static_cast<long long>(gridDim.x) * eights;
  long long at = static_cast<long long>(blockIdx.x) * eights;
  Eight next_added[kHeld];
  Eight next_held[kHeld];
  Take(all.branch + at, eights, next_added);
  Take(all.x + at, eights, next_held);
  int turn = 0;
  for (int row = static_cast<int>(blockIdx.x); row < rows; row += static_cast<int>(gridDim.x)) {
    Eight added[kHeld];
    Eight held[kHeld];
    UNROLLED for (int i = 0; i < kHeld; ++i) {
      added[i] = next_added[i];
      held[i] = next_held[i];
    }
    if (row + static_cast<int>(gridDim.x) < rows) {
      Take(all.branch + at + step, eights, next_added);
      Take(all.x + at + step, eights, next_held);
    }
    float inverse = 1.0f;
    if (all.after != nullptr) {
      inverse = RowInverse(added, eights, eps, turn);
      turn ^= 1;
    }
    AddScaled(held, added, inverse, back);
    Put(held, eights, all.sum + at);
    if (all.out != nullptr) {
      ScaleAndPut(held, RowInverse(held, eights, eps, turn), forth, eights, all.out + at);
      turn ^= 1;
    }
    at += step;
  }
}

// Heads of 128 elements, `count` of them side by side in rows that begin every `stride` elements.
struct Heads {
  Bf16* first;
  const Eight* weight;
  int stride;
  int count;
};
// Angles of each token: tokens x 64, for pairs of neighbours or of what is 64 elements apart. Rows
// of all the batch share them.
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
  float turned[8];
  if (angles.are_halves != 0) {
    const float side = lane < 8 ? -1.0f : 1.0f;
    UNROLLED for (int half = 0; half < 2; ++half) {
      const Quad cosines = angles.cosines[row + lane % 8 * 2 + half];
      const Quad sines = angles.sines[row + lane % 8 * 2 + half];
      UNROLLED for (int i = 0; i < 4; ++i) {
        const float own = values[half * 4 + i];
        const float other = __shfl_xor_sync(0xffffffffu, own, 8);
        turned[half * 4 + i] = own * cosines.v[i] + side * other * sines.v[i];
      }
    }
    return Narrow(turned);
  }
  const Quad cosines = angles.cosines[row + lane];
  const Quad sines = angles.sines[row + lane];
  UNROLLED for (int pair = 0; pair < 4; ++pair) {
    const float first = values[2 * pair];
    const float second = values[2 * pair + 1];
    turned[2 * pair] = first * cosines.v[pair] - second * sines.v[pair];
    turned[2 * pair + 1] = first * sines.v[pair] + second * cosines.v[pair];
  }
  return Narrow(turned);
}

// Norms each head of the queries and keys of a row and turns it by its token's angles, in place.
// blockIdx.x is the row; sixteen threads share a head, and have two: one in each half of them all.
extern "C" __global__ void HeadNormTurn(Heads queries, Heads keys, Angles angles, float eps) {
  const int lane = static_cast<int>(threadIdx.x % 16);
  const int heads = queries.count + keys.count;
  const int first = static_cast<int>(blockIdx.y * (blockDim.x / 16) + threadIdx.x / 16);
  const int apart = (heads + 1) / 2;
  Eight held[2];
  UNROLLED for (int i = 0; i < 2; ++i) {
    const int index = first + i * apart;
    const bool is_mine = first < apart && index < heads;
    held[i] = Eight{};
    if (is_mine) held[i] = Load(HeadAt(queries, keys, index) + lane);
  }
  UNROLLED for (int i = 0; i < 2; ++i) {
    const int index = first + i * apart;
    const float inverse = InverseRoot(LaneSum(SquareSum(held[i]), 8) / 128.0f, eps);
    float values[8];
    float weights[8];
    Widen(held[i], values);
    Widen(Load((index < queries.count ? queries : keys).weight + lane), weights);
    UNROLLED for (int j = 0; j < 8; ++j) values[j] *= inverse * weights[j];
    const Eight turned = Turn(values, angles, lane);
    if (first < apart && index < heads) HeadAt(queries, keys, index)[lane] = turned;
  }
}

// gate = gate / (1 + e^-gate) * up, in place, eight elements a thread.
extern "C" __global__ void SiluMul(Eight* gate, const Eight* up, long long eights) {
  const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= eights) return;
  float values[8];
  float factors[8];
  Widen(Load(gate + at), values);
  Widen(Load(up + at), factors);
  UNROLLED for (int i = 0; i < 8; ++i) {
    values[i] = __fdividef(values[i], 1.0f + __expf(-values[i])) * factors[i];
  }
  gate[at] = Narrow(values);
}
