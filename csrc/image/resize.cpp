#include "image/resize.h"

#include <utility>

#include "image/weigh.h"

namespace rescale_fast {
namespace {

Plane channel(std::vector<std::uint8_t>& samples, int width, int height) {
  return {samples.data(), static_cast<std::size_t>(width), width,
          height,         static_cast<double>(width),      static_cast<double>(height)};
}

}  // namespace

void resize_plane(const Plane& from, const Plane& to) {
  const Taps across = make_coarse_taps(from.width, to.width, from.across / to.across);
  const Taps down = make_coarse_taps(from.height, to.height, from.down / to.down);
  const auto in_width = static_cast<std::size_t>(from.width);
  std::vector<std::uint8_t> line(in_width + kBehind);
  for (std::size_t y = 0; y < static_cast<std::size_t>(to.height); ++y) {
    const std::uint8_t* rows = from.data + static_cast<std::size_t>(down.first[y]) * from.stride;
    weigh_down(rows, from.stride, in_width, down, y, line.data());
    weigh_across(line.data(), 1, across, to.data + y * to.stride);
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
