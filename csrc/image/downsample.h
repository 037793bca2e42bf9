// Image files to small images of one size, all in memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/array.h"
#include "core/job.h"
#include "image/image_file.h"
#include "image/resample.h"

namespace rescale_fast {

enum class Fit : std::uint8_t {
  stretch,    // to the square, as Image.resize
  letterbox,  // the whole image within the square, centred on black, as ImageOps.pad
  fill,       // the largest square in the middle of the image, as ImageOps.fit
};

struct DownsampleOptions {
  int side = 32;  // pixels
  Fit fit = Fit::stretch;
  Filter filter = Filter::box;
  bool grey = false;
  bool fast = false;            // decode JPEGs at the smallest n/8 of their size that still covers the target;
                                // not with Filter::nearest
  std::int64_t max_pixels = 0;  // images of more are refused
};

// Overwrites out, row-major (paths, channels, side, side), with the images of `paths` (each joined to root); channels
// are R, G, B, or luma alone as Image.convert("L") gives it. Images that cannot be read are left zero.
// Returns why, by index. Unless options.fast, every pixel is what Pillow gives: Image.open, convert, then
// resize, ImageOps.pad or ImageOps.fit (a side that ImageOps.pad would round to 0 becomes 1). The same for any number
// of threads. The job advances by images. Throws FileError for a file that cannot be had.
std::map<std::int64_t, std::string> downsample_images(const std::string& root, const Array<const char*>& paths,
                                                      const DownsampleOptions& options, Patience& patience,
                                                      const Fallback& fallback, Job& job, std::uint8_t* out);

}  // namespace rescale_fast
