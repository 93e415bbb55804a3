/* SPDX-License-Identifier: Apache-2.0 */
/* What cppcheck has to know of jansson.h, which it does not read. */
#define json_array_foreach(array, index, value)                                                    \
	for ((index) = 0;                                                                          \
	     (index) < json_array_size(array) && ((value) = json_array_get(array, index));         \
	     (index)++)
