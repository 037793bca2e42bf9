#include "image/resize.h"

#include <utility>

#include "core/array.h"
#include "image/weigh.h"

namespace rescale_fast {
namespace {

Plane channel(Array<std::uint8_t>& samples, int width, int height) {
  return {samples.data(), width, width, height, static_cast<double>(width), static_cast<double>(height)};
}

}  // namespace

void resize_plane(const Plane& from, const Plane& to) {
  const Taps across = make_coarse_taps(from.width, to.width, from.across / to.across);
  const Taps down = make_coarse_taps(from.height, to.height, from.down / to.down);
  Array<std::uint8_t> line(from.width + kBehind);
  for (std::int64_t y = 0; y < to.height; ++y) {
    const std::uint8_t* rows = from.data + down.first[y] * from.stride;
    weigh_down(rows, from.stride, from.width, down, y, line.data());
    weigh_across(line.data(), 1, across, to.data + y * to.stride);
  }
}

Pixels resize_rgb(const Pixels& image, int width, int height) {
  const std::int64_t in_size = std::int64_t{image.width} * image.height, out_size = std::int64_t{width} * height;
  Pixels out{width, height, Array<std::uint8_t>(out_size * 3)};
  const std::uint8_t* rgb_in = image.data.data();
  std::uint8_t* rgb_out = out.data.data();
  Array<std::uint8_t> before(in_size), after(out_size);
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t i = 0; i < in_size; ++i) before[i] = rgb_in[3 * i + c];
    resize_plane(channel(before, image.width, image.height), channel(after, width, height));
    for (std::int64_t i = 0; i < out_size; ++i) rgb_out[3 * i + c] = after[i];
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
      const std::uint8_t* from = image.data.data() + (std::int64_t{sy} * image.width + sx) * 3;
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
  return out;
}

}  // namespace rescale_fast
