// Changes the size of images to exactly the pixels that Pillow's Image.resize gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

namespace rescale_fast {

enum class Filter : std::uint8_t { nearest, box, bilinear, hamming, bicubic, lanczos };

// A part of an image, in pixels from its left upper corner; edges may lie within pixels.
struct Part {
  float left, top, right, bottom;
};

// What each output sample of a line is a weighted sum of. Weights are fixed-point numbers, each split into
// high * 2^kLowBits + low, so that 16-bit multiplications do. Rows are padded with zeros.
struct Taps {
  std::vector<int> first;               // of each output sample: its first input sample
  std::vector<int> count;               // how many
  std::vector<std::int16_t> high, low;  // (outputs, widest)
  std::size_t widest = 0;
};

// Keeps tables and scratch memory from image to image: one a thread. For the arithmetic, see resample.cpp.
class Resampler {
 public:
  explicit Resampler(Filter filter) : filter_(filter) {}

  // Resizes a part of an image, (height, width, channels) with 1 or 3 channels, to (out_height, out_width, channels).
  // With group > 1 only the averages of each group x group pixels are given, rows and columns rounded up; the result
  // is an approximation. Precondition: not so for Filter::nearest.
  void resize(const std::uint8_t* image, int width, int height, int channels, int group, const Part& part,
              int out_width, int out_height, std::vector<std::uint8_t>& out);

 private:
  using Key = std::tuple<int, float, float, int, int>;

  const Taps& taps(int in, float begin, float end, int out, int group);
  void weigh_across(const std::uint8_t* rows, std::size_t row_bytes, int channels, int count, const Taps& taps,
                    int out_width, std::uint8_t* out);

  const Filter filter_;
  std::map<Key, Taps> taps_;
  std::vector<std::uint8_t> line_, middle_;
};

}  // namespace rescale_fast
