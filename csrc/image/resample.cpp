// The method of Pillow's 8-bit resampling: a horizontal and a vertical pass, each of which rounds to 8 bits. Sums are
// kept modulo 2^32: their parts may overflow, and the sums themselves never do.
#include "image/resample.h"

#include <algorithm>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace rescale_fast {
namespace {

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);
constexpr std::size_t kColumns = 8;  // weighed at once in the vertical pass
constexpr std::size_t kBehind = 32;  // bytes that the horizontal pass may look at behind a line
constexpr std::size_t kMaxTables = 64;

std::uint8_t weigh(const std::uint8_t* sample, std::size_t step, const Taps& taps, std::size_t i) {
  std::uint32_t sum = kHalf;
  for (std::size_t k = 0; k < static_cast<std::size_t>(taps.count[i]); ++k) {
    const std::int32_t weight = taps.high[i * taps.widest + k] * (1 << kLowBits) + taps.low[i * taps.widest + k];
    sum += static_cast<std::uint32_t>(weight) * sample[k * step];
  }
  return static_cast<std::uint8_t>(std::clamp(static_cast<std::int32_t>(sum) >> kWeightBits, 0, 255));
}

#ifdef __SSE2__
__m128i load16(const void* bytes) { return _mm_loadu_si128(static_cast<const __m128i*>(bytes)); }

__m128i load8(const void* bytes) { return _mm_loadl_epi64(static_cast<const __m128i*>(bytes)); }

__m128i pair_of(const std::int16_t* weights) {
  std::int32_t both;
  std::memcpy(&both, weights, sizeof both);
  return _mm_set1_epi32(both);
}

// Sums of products with the high and the low parts of weights.
struct Sums {
  __m128i high = _mm_setzero_si128(), low = _mm_setzero_si128();

  void add(__m128i samples, __m128i high_weights, __m128i low_weights) {
    high = _mm_add_epi32(high, _mm_madd_epi16(samples, high_weights));
    low = _mm_add_epi32(low, _mm_madd_epi16(samples, low_weights));
  }

  __m128i rounded() const {
    const __m128i sum = _mm_add_epi32(_mm_slli_epi32(high, kLowBits), _mm_add_epi32(low, _mm_set1_epi32(kHalf)));
    return _mm_srai_epi32(sum, kWeightBits);
  }
};

// Four bytes from the lowest four of 16-bit numbers, each cut to 0..255.
std::uint32_t bytes_of(__m128i words) {
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
}

// Weighs RGB pixels, four at a time.
void weigh_pixels(const std::uint8_t* line, const Taps& taps, std::size_t i, std::uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  const std::int16_t *high = taps.high.data() + i * taps.widest, *low = taps.low.data() + i * taps.widest;
  const std::uint8_t* pixel = line + 3 * static_cast<std::size_t>(taps.first[i]);
  Sums sums;
  for (int k = 0; k < taps.count[i]; k += 4, pixel += 12, high += 4, low += 4) {
    const __m128i four = load16(pixel);  // in 32-bit lanes, behind the two interleavings: two of R, of G, of B, rubbish
    const __m128i front = _mm_unpacklo_epi8(four, _mm_srli_si128(four, 3));
    const __m128i back = _mm_unpacklo_epi8(_mm_srli_si128(four, 6), _mm_srli_si128(four, 9));
    sums.add(_mm_unpacklo_epi8(front, zero), pair_of(high), pair_of(low));
    sums.add(_mm_unpacklo_epi8(back, zero), pair_of(high + 2), pair_of(low + 2));
  }
  const __m128i rounded = sums.rounded();
  const std::uint32_t bytes = bytes_of(_mm_packs_epi32(rounded, rounded));
  std::memcpy(out, &bytes, 3);
}

// Weighs grey pixels, eight at a time.
void weigh_grey(const std::uint8_t* line, const Taps& taps, std::size_t i, std::uint8_t* out) {
  const std::int16_t *high = taps.high.data() + i * taps.widest, *low = taps.low.data() + i * taps.widest;
  const std::uint8_t* pixel = line + taps.first[i];
  Sums sums;
  for (int k = 0; k < taps.count[i]; k += 8, pixel += 8, high += 8, low += 8) {
    sums.add(_mm_unpacklo_epi8(load8(pixel), _mm_setzero_si128()), load16(high), load16(low));
  }
  for (__m128i* sum : {&sums.high, &sums.low}) {  // the four parts of each
    *sum = _mm_add_epi32(*sum, _mm_srli_si128(*sum, 8));
    *sum = _mm_add_epi32(*sum, _mm_srli_si128(*sum, 4));
  }
  const __m128i rounded = sums.rounded();
  *out = static_cast<std::uint8_t>(bytes_of(_mm_packs_epi32(rounded, rounded)));
}

// Weighs kColumns columns, two rows at a time.
void weigh_columns(const std::uint8_t* row, std::size_t stride, const Taps& taps, std::size_t i, std::uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  const std::int16_t *high = taps.high.data() + i * taps.widest, *low = taps.low.data() + i * taps.widest;
  Sums left, right;
  for (int k = 0; k < taps.count[i]; k += 2, row += 2 * stride, high += 2, low += 2) {
    const __m128i below = k + 1 < taps.count[i] ? load8(row + stride) : zero;
    const __m128i both = _mm_unpacklo_epi8(load8(row), below);
    const __m128i high_pair = pair_of(high), low_pair = pair_of(low);
    left.add(_mm_unpacklo_epi8(both, zero), high_pair, low_pair);
    right.add(_mm_unpackhi_epi8(both, zero), high_pair, low_pair);
  }
  const __m128i words = _mm_packs_epi32(left.rounded(), right.rounded());
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(words, words));
}
#else
void weigh_pixels(const std::uint8_t* line, const Taps& taps, std::size_t i, std::uint8_t* out) {
  const std::uint8_t* pixel = line + 3 * static_cast<std::size_t>(taps.first[i]);
  for (std::size_t c = 0; c < 3; ++c) out[c] = weigh(pixel + c, 3, taps, i);
}

void weigh_grey(const std::uint8_t* line, const Taps& taps, std::size_t i, std::uint8_t* out) {
  *out = weigh(line + taps.first[i], 1, taps, i);
}

void weigh_columns(const std::uint8_t* row, std::size_t stride, const Taps& taps, std::size_t i, std::uint8_t* out) {
  for (std::size_t x = 0; x < kColumns; ++x) out[x] = weigh(row + x, stride, taps, i);
}
#endif

// Makes out_height rows of row_bytes each from the rows that taps speak of, of which `rows` begins with number `first`.
void weigh_down(const std::uint8_t* rows, std::size_t row_bytes, const Taps& taps, int first, int out_height,
                std::uint8_t* out) {
  for (std::size_t y = 0; y < static_cast<std::size_t>(out_height); ++y, out += row_bytes) {
    const std::uint8_t* row = rows + static_cast<std::size_t>(taps.first[y] - first) * row_bytes;
    std::size_t x = 0;
    for (; x + kColumns <= row_bytes; x += kColumns) weigh_columns(row + x, row_bytes, taps, y, out + x);
    for (; x < row_bytes; ++x) out[x] = weigh(row + x, row_bytes, taps, y);
  }
}

// Which input sample each output sample repeats; positions are summed up one by one, as Pillow does.
std::vector<std::size_t> nearest_samples(float begin, float end, int out) {
  const double step = static_cast<double>(end - begin) / out;
  std::vector<std::size_t> samples(static_cast<std::size_t>(out));
  double at = begin + step * 0.5;
  for (std::size_t& sample : samples) {
    sample = static_cast<std::size_t>(at);
    at += step;
  }
  return samples;
}

void pick_nearest(const std::uint8_t* image, std::size_t row_bytes, std::size_t channels, const Part& part,
                  int out_width, int out_height, std::uint8_t* out) {
  const std::vector<std::size_t> columns = nearest_samples(part.left, part.right, out_width);
  for (const std::size_t y : nearest_samples(part.top, part.bottom, out_height)) {
    for (const std::size_t x : columns) {
      out = std::copy_n(image + y * row_bytes + x * channels, channels, out);
    }
  }
}

}  // namespace

const Taps& Resampler::taps(int in, float begin, float end, int out, int group) {
  const Key key{in, begin, end, out, group};
  const auto found = taps_.find(key);
  if (found != taps_.end()) return found->second;
  return taps_.emplace(key, make_taps(filter_, in, begin, end, out, group)).first->second;
}

void Resampler::resize(const std::uint8_t* image, int width, int height, int channels, int group, const Part& part,
                       int out_width, int out_height, std::vector<std::uint8_t>& out) {
  const auto depth = static_cast<std::size_t>(channels);
  const std::size_t out_row = static_cast<std::size_t>(out_width) * depth;
  const std::size_t in_row = static_cast<std::size_t>((width + group - 1) / group) * depth;
  out.resize(out_row * static_cast<std::size_t>(out_height));
  if (filter_ == Filter::nearest) {
    pick_nearest(image, in_row, depth, part, out_width, out_height, out.data());
    return;
  }
  if (taps_.size() > kMaxTables) taps_.clear();
  const Taps& across = taps(width, part.left, part.right, out_width, group);
  const Taps& down = taps(height, part.top, part.bottom, out_height, group);
  // As Pillow does from version 13 on; versions before never go down first.
  if (height - out_height > std::max(0, 2 * (width - out_width))) {
    middle_.resize(in_row * static_cast<std::size_t>(out_height));
    weigh_down(image, in_row, down, 0, out_height, middle_.data());
    weigh_across(middle_.data(), in_row, channels, out_height, across, out_width, out.data());
  } else {
    const int first = down.first.front(), rows = down.first.back() + down.count.back() - first;
    middle_.resize(out_row * static_cast<std::size_t>(rows));
    weigh_across(image + static_cast<std::size_t>(first) * in_row, in_row, channels, rows, across, out_width,
                 middle_.data());
    weigh_down(middle_.data(), out_row, down, first, out_height, out.data());
  }
}

void Resampler::weigh_across(const std::uint8_t* rows, std::size_t row_bytes, int channels, int count, const Taps& taps,
                             int out_width, std::uint8_t* out) {
  line_.resize(row_bytes + kBehind);
  for (int y = 0; y < count; ++y, rows += row_bytes) {
    std::memcpy(line_.data(), rows, row_bytes);
    for (std::size_t x = 0; x < static_cast<std::size_t>(out_width); ++x, out += channels) {
      if (channels == 3) {
        weigh_pixels(line_.data(), taps, x, out);
      } else {
        weigh_grey(line_.data(), taps, x, out);
      }
    }
  }
}

}  // namespace rescale_fast
