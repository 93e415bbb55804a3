/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is a file fuzz-NAME.c with this function, which must return 0 and never crash, leak or hang, whatever the
 * bytes; it ASSERTs what must hold. Its corpus is tests/fuzz/corpus/NAME/. It is linked twice: with driver.c (runs in
 * `make test` with any compiler), and with libFuzzer when meson's option fuzzing is on (clang; `make fuzz`).
 */
#ifndef LITEPOOL_TESTS_FUZZ_H
#define LITEPOOL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
