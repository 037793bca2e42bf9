// Every allocation that the codecs make fails once: that is an exception, and leaves neither damage nor memory.
#include <vector>

#include "faults.h"
#include "image/jpeg_codec.h"
#include "image/jpeg_planes.h"

using namespace rescale_fast;

namespace {

using Bytes = std::vector<std::uint8_t>;

Pixels noise(int width, int height) {
  Pixels image{width, height, Bytes(static_cast<std::size_t>(width * height * 3))};
  std::uint32_t state = 1;
  for (std::uint8_t& value : image.data)
    value = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return image;
}

// make() gives bytes; they are what it gave when nothing failed, or it throws.
template <typename Make>
void try_all(const char* what, const Make& make) {
  const Bytes expected = make();
  faults::fail_each(faults::allocations_left, [&](long trial) {
    const long before = faults::live;
    try {
      faults::expect(make() == expected, what, trial);
    } catch (const ImageError&) {
    } catch (const std::bad_alloc&) {
    }
    faults::expect(faults::live == before, "memory is lost", trial);
  });
}

}  // namespace

int main() {
  const Pixels image = noise(400, 300);
  const Bytes file = encode_jpeg(image, 95);
  faults::expect(file.size() > 50'000, "the file is to need more memory several times", 0);
  try_all("encode_jpeg", [&] { return encode_jpeg(image, 95); });
  try_all("resize_jpeg", [&] { return resize_jpeg(file.data(), file.size(), 4, 140, 90, 95); });
  try_all("decode_jpeg", [&] {
    Pixels pixels;
    decode_jpeg(file.data(), file.size(), 8, false, pixels);
    return pixels.data;
  });
  std::puts("fine");
}
