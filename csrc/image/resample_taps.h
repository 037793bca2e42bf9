// The weights of Pillow's resampling filters.
#pragma once

#include <cstdint>

#include "core/array.h"

namespace rescale_fast {

constexpr int kWeightBits = 22, kLowBits = 11;  // of Pillow's weights
constexpr int kCoarseBits = 14;
constexpr std::int64_t kTaps = 8;  // weights of a row come in multiples of this

enum class Filter : std::uint8_t { nearest, box, bilinear, hamming, bicubic, lanczos };

// What each output sample of a line is a weighted sum of. Weights are fixed-point numbers: either with kWeightBits bits
// behind the point, each split into high * 2^kLowBits + low, so that 16-bit multiplications do; or with kCoarseBits, in
// `high` alone, which takes half the time. Rows are padded with zeros.
struct Taps {
  Array<int> first;               // of each output sample: its first input sample
  Array<int> count;               // how many
  Array<std::int16_t> high, low;  // (outputs, widest); low: empty if coarse
  std::int64_t widest = 0;
};

// For `out` samples that cover [begin, end) of `in` samples. With group > 1 only the averages of each `group` samples
// are given, the last of fewer, and the sums are approximations. Precondition: not Filter::nearest.
Taps make_taps(Filter filter, int in, float begin, float end, int out, int group);

// Coarse ones, of Filter::bilinear, for `out` samples that are each `step` wide in samples of the input. The weights of
// a row add up to 1 exactly.
Taps make_coarse_taps(int in, int out, double step);

}  // namespace rescale_fast
