#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace rescale_fast {
namespace {

constexpr int kBits = 14;
constexpr std::int32_t kHalf = 1 << (kBits - 1);
constexpr std::size_t kColumns = 16;  // weighed at once
constexpr std::size_t kTaps = 8;      // weighed at once

struct Taps {
  std::vector<int> first;            // of each output sample: its first input sample
  std::vector<int> count;            // how many
  std::vector<std::int16_t> weight;  // (outputs, widest), each row's sum is 1 << kBits
  std::size_t widest = 0;            // a multiple of kTaps
  const std::int16_t* weights(std::size_t i) const { return weight.data() + i * widest; }
};

// For `out` samples, each `step` wide in samples of the input, of which there are `in`.
Taps triangle_taps(int in, int out, double step) {
  Taps taps;
  const double reach = std::max(step, 1.0);
  taps.widest = (static_cast<std::size_t>(std::ceil(reach)) * 2 + kTaps) / kTaps * kTaps;
  taps.first.resize(static_cast<std::size_t>(out));
  taps.count.resize(static_cast<std::size_t>(out));
  taps.weight.assign(static_cast<std::size_t>(out) * taps.widest, 0);
  std::vector<double> exact(taps.widest);
  for (std::size_t i = 0; i < static_cast<std::size_t>(out); ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * step;
    const int begin = std::clamp(static_cast<int>(centre - reach + 0.5), 0, in - 1);
    const int end = std::clamp(static_cast<int>(centre + reach + 0.5), begin + 1, in);
    const auto count = std::min(static_cast<std::size_t>(end - begin), taps.widest);
    double sum = 0;
    for (std::size_t k = 0; k < count; ++k) {
      exact[k] = std::max(0.0, 1.0 - std::abs(begin + static_cast<double>(k) + 0.5 - centre) / reach);
      sum += exact[k];
    }
    std::int16_t* row = taps.weight.data() + i * taps.widest;
    int left = 1 << kBits;
    std::size_t largest = 0;
    for (std::size_t k = 0; k < count && sum > 0; ++k) {
      row[k] = static_cast<std::int16_t>(std::lround(exact[k] / sum * (1 << kBits)));
      left -= row[k];
      if (row[k] > row[largest]) largest = k;
    }
    // The sum is exact, so a flat image stays flat and nothing overflows.
    row[largest] = static_cast<std::int16_t>(row[largest] + left);
    taps.first[i] = begin;
    taps.count[i] = static_cast<int>(count);
  }
  return taps;
}

std::uint8_t weighted_sum(const std::uint8_t* sample, std::size_t step, const std::int16_t* weight, int count) {
  std::int32_t sum = kHalf;
  for (int k = 0; k < count; ++k) sum += weight[k] * sample[static_cast<std::size_t>(k) * step];
  return static_cast<std::uint8_t>(sum >> kBits);
}

#ifdef __SSE2__
__m128i load(const void* bytes) { return _mm_loadu_si128(static_cast<const __m128i*>(bytes)); }

// Weighs kColumns columns, two rows with each multiplication; an odd last row goes with zeros.
void weigh_columns(const std::uint8_t* row, std::size_t stride, const std::int16_t* weight, int count,
                   std::uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  __m128i a = _mm_set1_epi32(kHalf), b = a, c = a, d = a;
  for (int k = 0; k < count; k += 2, row += 2 * stride) {
    const __m128i above = load(row), below = k + 1 < count ? load(row + stride) : zero;
    const __m128i low = _mm_unpacklo_epi8(above, below), high = _mm_unpackhi_epi8(above, below);
    std::int32_t both;
    std::memcpy(&both, weight + k, sizeof both);
    const __m128i weights = _mm_set1_epi32(both);
    a = _mm_add_epi32(a, _mm_madd_epi16(_mm_unpacklo_epi8(low, zero), weights));
    b = _mm_add_epi32(b, _mm_madd_epi16(_mm_unpackhi_epi8(low, zero), weights));
    c = _mm_add_epi32(c, _mm_madd_epi16(_mm_unpacklo_epi8(high, zero), weights));
    d = _mm_add_epi32(d, _mm_madd_epi16(_mm_unpackhi_epi8(high, zero), weights));
  }
  const __m128i low = _mm_packs_epi32(_mm_srai_epi32(a, kBits), _mm_srai_epi32(b, kBits));
  const __m128i high = _mm_packs_epi32(_mm_srai_epi32(c, kBits), _mm_srai_epi32(d, kBits));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(low, high));
}

// The four parts of an output sample's sum. Reads kTaps samples at a time, beyond `count` with weight 0.
__m128i weigh_samples(const std::uint8_t* sample, const std::int16_t* weight, int count) {
  const __m128i zero = _mm_setzero_si128();
  __m128i sum = zero;
  for (std::size_t k = 0; k < static_cast<std::size_t>(count); k += kTaps) {
    const __m128i samples = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(sample + k)), zero);
    sum = _mm_add_epi32(sum, _mm_madd_epi16(samples, load(weight + k)));
  }
  return sum;
}

// Weighs a row; four output samples together.
void weigh_row(const std::uint8_t* line, const Taps& taps, std::size_t width, std::uint8_t* out) {
  std::size_t x = 0;
  for (; x + 4 <= width; x += 4) {
    __m128i sum[4];
    for (std::size_t i = 0; i < 4; ++i) {
      sum[i] = weigh_samples(line + taps.first[x + i], taps.weights(x + i), taps.count[x + i]);
    }
    const __m128i ab = _mm_add_epi32(_mm_unpacklo_epi32(sum[0], sum[1]), _mm_unpackhi_epi32(sum[0], sum[1]));
    const __m128i cd = _mm_add_epi32(_mm_unpacklo_epi32(sum[2], sum[3]), _mm_unpackhi_epi32(sum[2], sum[3]));
    __m128i all = _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
    all = _mm_srai_epi32(_mm_add_epi32(all, _mm_set1_epi32(kHalf)), kBits);
    all = _mm_packs_epi32(all, all);
    const std::int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(all, all));
    std::memcpy(out + x, &bytes, sizeof bytes);
  }
  for (; x < width; ++x) out[x] = weighted_sum(line + taps.first[x], 1, taps.weights(x), taps.count[x]);
}
#else
void weigh_columns(const std::uint8_t* row, std::size_t stride, const std::int16_t* weight, int count,
                   std::uint8_t* out) {
  for (std::size_t x = 0; x < kColumns; ++x) out[x] = weighted_sum(row + x, stride, weight, count);
}

void weigh_row(const std::uint8_t* line, const Taps& taps, std::size_t width, std::uint8_t* out) {
  for (std::size_t x = 0; x < width; ++x) {
    out[x] = weighted_sum(line + taps.first[x], 1, taps.weights(x), taps.count[x]);
  }
}
#endif

Plane channel(std::vector<std::uint8_t>& samples, int width, int height) {
  return {samples.data(), static_cast<std::size_t>(width), width,
          height,         static_cast<double>(width),      static_cast<double>(height)};
}

}  // namespace

void resize_plane(const Plane& from, const Plane& to) {
  const Taps across = triangle_taps(from.width, to.width, from.across / to.across);
  const Taps down = triangle_taps(from.height, to.height, from.down / to.down);
  const auto in_width = static_cast<std::size_t>(from.width);
  std::vector<std::uint8_t> line(in_width + kTaps);  // weigh_samples looks behind its end
  for (std::size_t y = 0; y < static_cast<std::size_t>(to.height); ++y) {
    const std::uint8_t* row = from.data + static_cast<std::size_t>(down.first[y]) * from.stride;
    std::size_t x = 0;
    for (; x + kColumns <= in_width; x += kColumns) {
      weigh_columns(row + x, from.stride, down.weights(y), down.count[y], line.data() + x);
    }
    for (; x < in_width; ++x) line[x] = weighted_sum(row + x, from.stride, down.weights(y), down.count[y]);
    weigh_row(line.data(), across, static_cast<std::size_t>(to.width), to.data + y * to.stride);
  }
}

Pixels resize_rgb(const Pixels& image, int width, int height) {
  const auto in_size = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
  const auto out_size = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  Pixels out{width, height, std::vector<std::uint8_t>(out_size * 3)};
  std::vector<std::uint8_t> before(in_size), after(out_size);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < in_size; ++i) before[i] = image.data[3 * i + c];
    resize_plane(channel(before, image.width, image.height), channel(after, width, height));
    for (std::size_t i = 0; i < out_size; ++i) out.data[3 * i + c] = after[i];
  }
  return out;
}

Pixels turn_upright(Pixels image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool transpose = orientation >= 5;
  const int width = transpose ? image.height : image.width, height = transpose ? image.width : image.height;
  // Which source pixel lies at (x, y): the axes are exchanged for 5..8, then each may run backwards.
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Pixels out{width, height, std::vector<std::uint8_t>(image.data.size())};
  std::uint8_t* to = out.data.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x, to += 3) {
      int sx = transpose ? y : x, sy = transpose ? x : y;
      if (flip_x) sx = image.width - 1 - sx;
      if (flip_y) sy = image.height - 1 - sy;
      const auto row = static_cast<std::size_t>(sy) * static_cast<std::size_t>(image.width);
      const std::uint8_t* from = image.data.data() + (row + static_cast<std::size_t>(sx)) * 3;
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
  return out;
}

}  // namespace rescale_fast
