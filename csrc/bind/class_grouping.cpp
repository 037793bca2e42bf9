#include "bind/bind.h"
#include "classes/grouping.h"
#include "core/array.h"

namespace rescale_fast {
namespace {

using namespace pybind11::literals;
using Groups = Array<std::int64_t>;

Groups checked_groups(const WeightGraph& graph, const IdArray& group_of) {
  if (group_of.ndim() != 1 || group_of.size() != graph.num_classes()) {
    throw py::value_error(message("group_of has ", group_of.size(), " entries, expected ", graph.num_classes()));
  }
  Groups groups(group_of.data(), group_of.data() + group_of.size());
  for (std::int64_t c = 0; c < groups.size(); ++c) {
    if (groups[c] < 0 || groups[c] >= graph.num_classes()) {
      throw py::value_error(message("group_of[", c, "] is ", groups[c], ", expected 0..", graph.num_classes() - 1));
    }
  }
  return groups;
}

IdArray extract_checked(const WeightGraph& graph, const IdArray& sizes) {
  const Groups wanted(sizes.data(), sizes.data() + sizes.size());
  std::int64_t total = 0;
  for (const std::int64_t size : wanted) {
    if (size < 1 || size > graph.num_classes()) {
      throw py::value_error(message("sizes hold ", size, ", expected 1..", graph.num_classes()));
    }
    total += size;
  }
  if (total != graph.num_classes()) {
    throw py::value_error(message("sizes add up to ", total, ", expected ", graph.num_classes()));
  }
  Job job;
  return to_array(run_job(job, [&] { return extract_groups(graph, wanted, job); }));
}

IdArray anneal_checked(const WeightGraph& graph, const IdArray& start, std::int64_t num_moves, std::uint64_t seed) {
  const Groups groups = checked_groups(graph, start);
  Job job;
  return to_array(run_job(job, [&] { return anneal_groups(graph, groups, num_moves, seed, job); }));
}

double inside_checked(const WeightGraph& graph, const IdArray& group_of) {
  return weight_inside(graph, checked_groups(graph, group_of));
}

}  // namespace

void register_class_grouping(py::module_& module) {
  module.def("extract_groups", &extract_checked, "graph"_a, "sizes"_a.noconvert());
  module.def("anneal_groups", &anneal_checked, "graph"_a, "start"_a.noconvert(), py::kw_only(), "num_moves"_a,
             "seed"_a);
  module.def("weight_inside", &inside_checked, "graph"_a, "group_of"_a.noconvert());
}

}  // namespace rescale_fast
