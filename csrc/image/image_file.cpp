#include "image/image_file.h"

#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

#include "core/file_io.h"

namespace rescale_fast {
namespace {

constexpr std::int64_t kMaxFileBytes = std::int64_t{1} << 29;

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) fail();
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }
  std::vector<std::uint8_t> read() const {
    struct stat info;
    if (::fstat(fd_, &info) != 0) fail();
    if (!S_ISREG(info.st_mode)) throw ImageError("not a file");
    if (info.st_size == 0) throw ImageError("empty: 0 bytes");
    if (info.st_size > kMaxFileBytes) throw ImageError("larger than 512 MiB");
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
    if (read_at(fd_, bytes.data(), bytes.size(), 0) != bytes.size()) throw ImageError("became shorter while read");
    return bytes;
  }

 private:
  [[noreturn]] static void fail() { throw ImageError(std::string("cannot be read: ") + std::strerror(errno)); }
  int fd_;
};

}  // namespace

std::vector<std::uint8_t> read_image_file(const std::string& path) { return File(path).read(); }

void check_pixels(std::int64_t width, std::int64_t height, std::int64_t max_pixels) {
  if (width * height > max_pixels) {
    throw ImageError(std::to_string(width) + " x " + std::to_string(height) + " pixels: more than the limit of " +
                     std::to_string(max_pixels));
  }
}

}  // namespace rescale_fast
