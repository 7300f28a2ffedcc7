#include "python/face.h"

#include <cstring>
#include <utility>

#include "python/buffers.h"

namespace bitwright {
namespace {

nb::tuple tuple_of(const std::vector<Py_ssize_t>& shape) {
    nb::list list;
    for (const Py_ssize_t size : shape) list.append(size);
    return nb::tuple(list);
}

Port make_port(nb::str name, const std::string& format, const std::vector<Py_ssize_t>& shape, nb::object dtype) {
    return {std::move(name), format, shape, std::move(dtype)};
}

}  // namespace

Face::Face(nb::object plan, std::vector<Port> inputs, std::vector<Port> outputs)
    : plan_object_(std::move(plan)),
      plan_(nb::cast<Plan&>(plan_object_)),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      empty_(nb::module_::import_("numpy").attr("empty")) {
    for (const Port& port : outputs_) output_shapes_.push_back(tuple_of(port.shape));
}

nb::object Face::run(nb::dict feeds) {
    if (feeds.size() != inputs_.size()) return nb::none();
    Buffers buffers(plan_.externals());
    for (const Port& port : inputs_) {
        PyObject* const array = PyDict_GetItem(feeds.ptr(), port.name.ptr());
        if (array == nullptr || !buffers.hold_exactly(array, port.format, port.shape)) return nb::none();
    }
    nb::list made;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
        PyObject* const arguments[] = {nullptr, output_shapes_[i].ptr(), outputs_[i].dtype.ptr()};
        const nb::object array =
            nb::steal(PyObject_Vectorcall(empty_.ptr(), arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
        if (!array.is_valid()) throw nb::python_error();
        buffers.hold(array.ptr(), true);
        made.append(array);
    }
    {
        const nb::gil_scoped_release release;
        plan_.run(buffers.starts());
    }
    return made;
}

void bind_face(nb::module_& m) {
    nb::class_<Port>(m, "Port").def(nb::new_(&make_port), "name"_a, "format"_a, "shape"_a, "dtype"_a);
    nb::class_<Face>(m, "Face")
        .def(nb::init<nb::object, std::vector<Port>, std::vector<Port>>(), "plan"_a, "inputs"_a, "outputs"_a)
        .def("run", &Face::run, "feeds"_a,
             "Outputs in order as new arrays; None where an input is not an array of exactly its type and shape.");
}

}  // namespace bitwright
