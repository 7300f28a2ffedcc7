/* A block: rows of elements of up to three tensors, gone through together. C99, also C++.
 *
 * Entry 0 of each array belongs to the result, 1 and 2 to the operands. Strides are in elements; an operand's is 0
 * where it is broadcast.
 *
 *   y[r*row_stride[0] + i*stride[0]] = f(a[r*row_stride[1] + i*stride[1]], b[r*row_stride[2] + i*stride[2]])
 */
#ifndef BITWRIGHT_ELEMENTWISE_BLOCK_H
#define BITWRIGHT_ELEMENTWISE_BLOCK_H

#include <stdint.h>

typedef struct {
    int64_t rows, length; /* of each row */
    int64_t row_stride[3], stride[3];
} bw_block;

#endif
