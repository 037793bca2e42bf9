// Resizes a JPEG to a JPEG in its own colour planes: no conversion to RGB and back, and half as many samples to filter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rescale_fast {

// Decodes at eighths/8 of the size, resizes to (height, width) by resize_plane, encodes as a baseline 4:2:0 JPEG.
// Returns nothing when the JPEG is neither grey nor YCbCr. Damaged data is decoded as far as it goes.
// Throws ImageError.
std::vector<std::uint8_t> resize_jpeg(const std::uint8_t* data, std::size_t size, int eighths, int width, int height,
                                      int quality);

}  // namespace rescale_fast
