// Changes the size of RGB images, without aliasing, and turns them.
#pragma once

#include "jpeg_codec.h"

namespace rescale_fast {

// Resizes to (height, width) >= 1 with a triangle filter as wide as the reduction (what Pillow calls bilinear).
// Integer arithmetic: the same bytes on every machine. Rows first, then columns.
Pixels resize_triangle(const Pixels& image, int width, int height);

// Turns an image upright: orientation is EXIF's, 1..8 (1 returns it unchanged; 5..8 exchange width and height).
Pixels turn_upright(Pixels image, int orientation);

}  // namespace rescale_fast
