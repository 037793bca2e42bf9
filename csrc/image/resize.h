// Changes the size of images, without aliasing, and turns them.
#pragma once

#include <cstdint>

#include "image/jpeg_codec.h"

namespace rescale_fast {

// One channel of an image. `across` and `down`: how many of its samples, in parts of them, the image is wide and high;
// a chroma plane of half the size has 128 samples a row for an image of 255 pixels, which covers 127.5 of them.
struct Plane {
  std::uint8_t* data;  // (height, width), rows `stride` bytes apart
  std::int64_t stride;
  int width, height;
  double across, down;
};

// Overwrites `to` with `from` in another size, by a triangle filter as wide as the reduction (what Pillow calls
// bilinear). Integer arithmetic: the same bytes on every machine. Columns first, then rows.
void resize_plane(const Plane& from, const Plane& to);

// Resizes to (height, width) >= 1, each channel by resize_plane.
Pixels resize_rgb(const Pixels& image, int width, int height);

// Turns an image upright: orientation is EXIF's, 1..8 (1 returns it unchanged; 5..8 exchange width and height).
Pixels turn_upright(Pixels image, int orientation);

}  // namespace rescale_fast
