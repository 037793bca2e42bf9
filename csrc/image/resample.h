// Changes the size of images to exactly the pixels that Pillow's Image.resize gives.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "core/array.h"
#include "image/resample_taps.h"

namespace rescale_fast {

// A part of an image, in pixels from its left upper corner; edges may lie within pixels.
struct Part {
  float left, top, right, bottom;
};

// Keeps tables and scratch memory from image to image: one a thread. For the arithmetic, see resample.cpp.
class Resampler {
 public:
  explicit Resampler(Filter filter) : filter_(filter) {}

  // Resizes a part of an image, (height, width, channels) with 1 or 3 channels, to (out_height, out_width, channels).
  // With group > 1 only the averages of each group x group pixels are given, rows and columns rounded up; the result
  // is an approximation. Precondition: not so for Filter::nearest.
  void resize(const std::uint8_t* image, int width, int height, int channels, int group, const Part& part,
              int out_width, int out_height, Array<std::uint8_t>& out);

 private:
  using Key = std::tuple<int, float, float, int, int>;

  const Taps& taps(int in, float begin, float end, int out, int group);

  const Filter filter_;
  std::map<Key, Taps> taps_;
  Array<std::uint8_t> line_, middle_;
};

}  // namespace rescale_fast
