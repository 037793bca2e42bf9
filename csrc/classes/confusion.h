// Confusion counts and summed probabilities. Row = true class, column = predicted class, row-major.
#pragma once

#include <cstdint>

#include "core/job.h"

namespace rescale_fast {

// Overwrites counts, (num_classes, num_classes): counts[t * num_classes + p] = images of class t called p.
// Exact and the same for any number of threads: integer addition commutes.
// One pass over the N pairs; each thread beyond the first needs num_classes^2 * 8 bytes of scratch, and only
// as many threads run as have more pairs each than that table has cells.
// Precondition: every id lies in [0, num_classes). bind/confusion.cpp checks it; the kernel does not.
void count_confusion(const std::int64_t* labels, const std::int64_t* predicted, std::int64_t num_images,
                     std::int64_t num_classes, Job& job, std::int64_t* counts);

// Overwrites soft, (num_classes, num_classes): soft[t * num_classes + c] = sum of the probabilities that images
// of class t gave to c. ids and probabilities are (num_images, top), row-major.
// Sums are kept in units of 2^-40, so the result is the same for any number of threads and any order; a float32
// probability above 2^-16 is represented exactly, and a cell overflows only beyond 8 million certain images.
// Preconditions: ids in [0, num_classes), probabilities in [0, 1], those of an image for one class at
// most 1 in sum; fewer than 2^23 images of a class.
void sum_probabilities(const std::int64_t* labels, const std::int64_t* ids, const double* probabilities,
                       std::int64_t num_images, std::int64_t top, std::int64_t num_classes, Job& job, double* soft);

}  // namespace rescale_fast
