// A few numbers at a time, in the vectors of GCC and Clang: for any machine. Where the two have no word for what a
// machine does in one instruction, that instruction is named.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace rescale_fast {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lanes are taken apart and put together from the low end");

using U8x16 = std::uint8_t __attribute__((vector_size(16)));
using I16x8 = std::int16_t __attribute__((vector_size(16)));
using U32x4 = std::uint32_t __attribute__((vector_size(16)));
using I32x4 = std::int32_t __attribute__((vector_size(16)));
using U64x2 = std::uint64_t __attribute__((vector_size(16)));

template <typename Number>
Number load_number(const void* bytes) {
  Number number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

inline U8x16 load16(const void* bytes) { return load_number<U8x16>(bytes); }

// Behind them zeros.
inline U8x16 load8(const void* bytes) { return reinterpret_cast<U8x16>(U64x2{load_number<std::uint64_t>(bytes), 0}); }

// The same two numbers in each pair of lanes.
inline I16x8 repeat_pair(const std::int16_t* pair) {
  const auto both = load_number<std::int32_t>(pair);
  return reinterpret_cast<I16x8>(I32x4{both, both, both, both});
}

#if defined(__clang__) || __GNUC__ >= 12
#define RESCALE_FAST_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define RESCALE_FAST_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, decltype(a){__VA_ARGS__})
#endif

// The first, or the last, eight of both in turn.
inline U8x16 zip_low(U8x16 a, U8x16 b) {
  return RESCALE_FAST_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline U8x16 zip_high(U8x16 a, U8x16 b) {
  return RESCALE_FAST_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

inline I16x8 widen_low(U8x16 bytes) { return reinterpret_cast<I16x8>(zip_low(bytes, U8x16{})); }
inline I16x8 widen_high(U8x16 bytes) { return reinterpret_cast<I16x8>(zip_high(bytes, U8x16{})); }

// a[0] * b[0] + a[1] * b[1], a[2] * b[2] + a[3] * b[3], ... Sums are modulo 2^32.
inline U32x4 multiply_pairs(I16x8 a, I16x8 b) {
#ifdef __SSE2__
  return reinterpret_cast<U32x4>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const auto odd = [](I16x8 v) { return reinterpret_cast<I32x4>(v) >> 16; };
  const auto even = [](I16x8 v) { return reinterpret_cast<I32x4>(reinterpret_cast<U32x4>(v) << 16) >> 16; };
  return reinterpret_cast<U32x4>(even(a) * even(b)) + reinterpret_cast<U32x4>(odd(a) * odd(b));
#endif
}

// The four sums of the lanes of each.
inline U32x4 add_across(U32x4 a, U32x4 b, U32x4 c, U32x4 d) {
  const U32x4 ab = RESCALE_FAST_SHUFFLE(a, b, 0, 4, 1, 5) + RESCALE_FAST_SHUFFLE(a, b, 2, 6, 3, 7);
  const U32x4 cd = RESCALE_FAST_SHUFFLE(c, d, 0, 4, 1, 5) + RESCALE_FAST_SHUFFLE(c, d, 2, 6, 3, 7);
  return RESCALE_FAST_SHUFFLE(ab, cd, 0, 1, 4, 5) + RESCALE_FAST_SHUFFLE(ab, cd, 2, 3, 6, 7);
}

// Numbers as bytes, each cut to 0..255. Precondition: they fit in 16 bits.
inline U8x16 to_bytes(I32x4 a, I32x4 b, I32x4 c, I32x4 d) {
#ifdef __SSE2__
  const __m128i ab = _mm_packs_epi32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b));
  const __m128i cd = _mm_packs_epi32(reinterpret_cast<__m128i>(c), reinterpret_cast<__m128i>(d));
  return reinterpret_cast<U8x16>(_mm_packus_epi16(ab, cd));
#else
  U8x16 bytes{};
  for (int i = 0; i < 4; ++i) {
    bytes[i] = static_cast<std::uint8_t>(std::clamp(a[i], 0, 255));
    bytes[i + 4] = static_cast<std::uint8_t>(std::clamp(b[i], 0, 255));
    bytes[i + 8] = static_cast<std::uint8_t>(std::clamp(c[i], 0, 255));
    bytes[i + 12] = static_cast<std::uint8_t>(std::clamp(d[i], 0, 255));
  }
  return bytes;
#endif
}

}  // namespace rescale_fast
