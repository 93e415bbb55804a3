/* SPDX-License-Identifier: Apache-2.0 */
/* Names, quantities and times. The calendar is computed here, because a folder beside rt has no clock and no time zone. */
#include "kube/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/uuid.h"

json_t *kube_at(const json_t *obj, const char *path)
{
	char part[64];

	for (;;) {
		size_t len = strcspn(path, ".");

		if (len >= sizeof(part))
			return NULL;
		memcpy(part, path, len);
		part[len] = 0;
		obj = json_object_get(obj, part);
		if (!obj || !path[len])
			return (json_t *)(uintptr_t)obj;
		path += len + 1;
	}
}

const char *kube_str(const json_t *obj, const char *path)
{
	const char *s = json_string_value(kube_at(obj, path));

	return s ? s : "";
}

static bool lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool any_alnum(char c)
{
	return lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* A label of len bytes within a longer text. */
static bool label_valid(const char *s, size_t len, size_t max)
{
	if (!len || len > max || !lower_alnum(s[0]) || !lower_alnum(s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!lower_alnum(s[i]) && s[i] != '-')
			return false;
	return true;
}

static bool subdomain_valid(const char *s, size_t len)
{
	if (!len || len > KUBE_NAME_MAX)
		return false;
	for (size_t at = 0; at <= len;) {
		size_t part = 0;

		while (at + part < len && s[at + part] != '.')
			part++;
		if (!label_valid(s + at, part, KUBE_NAME_MAX))
			return false;
		at += part + 1;
	}
	return true;
}

bool kube_name_valid(const char *s)
{
	return subdomain_valid(s, strlen(s));
}

bool kube_label_valid(const char *s)
{
	return label_valid(s, strlen(s), KUBE_LABEL_MAX);
}

static bool simple_name_valid(const char *s, size_t len)
{
	if (!len || len > KUBE_LABEL_MAX || !any_alnum(s[0]) || !any_alnum(s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!any_alnum(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.')
			return false;
	return true;
}

bool kube_qualified_valid(const char *s)
{
	const char *slash = strchr(s, '/');

	if (slash && !subdomain_valid(s, (size_t)(slash - s)))
		return false;
	s = slash ? slash + 1 : s;
	return simple_name_valid(s, strlen(s));
}

bool kube_label_value_valid(const char *s)
{
	return !s[0] || simple_name_valid(s, strlen(s));
}

bool kube_nqn_valid(const char *s)
{
	size_t len = strlen(s);

	if (len < 12 || len > 223 || strncmp(s, "nqn.", 4) != 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f)
			return false;
	/* nqn.yyyy-mm. */
	for (size_t i = 4; i < 11; i++)
		if (i == 8 ? s[i] != '-' : (s[i] < '0' || s[i] > '9'))
			return false;
	return s[11] == '.';
}

static const struct {
	const char *suffix;
	unsigned base, power;
} units[] = {
	{"", 10, 0},   {"k", 10, 3},  {"M", 10, 6},  {"G", 10, 9},  {"T", 10, 12},
	{"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20}, {"Gi", 2, 30},
	{"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
};

#define SIZE_BYTES_MAX ((__uint128_t)INT64_MAX)

/* suffix -> factor; false when it is none. An exponent (e9) counts as a suffix. */
static bool unit_factor(const char *suffix, __uint128_t *ret)
{
	unsigned power = 0, base = 10;
	bool found = false;

	if ((suffix[0] == 'e' || suffix[0] == 'E') && suffix[1] >= '0' && suffix[1] <= '9') {
		for (const char *p = suffix + 1; *p; p++) {
			if (*p < '0' || *p > '9' || power > 18)
				return false;
			power = power * 10 + (unsigned)(*p - '0');
		}
		found = power <= 18;
	}
	for (size_t i = 0; i < ARRAY_LEN(units) && !found; i++) {
		if (strcmp(units[i].suffix, suffix) != 0)
			continue;
		base = units[i].base;
		power = units[i].power;
		found = true;
	}
	*ret = 1;
	for (unsigned i = 0; i < power && found; i++)
		*ret *= base;
	return found;
}

static bool size_text_parse(const char *s, uint64_t *ret, const char **ret_why)
{
	__uint128_t value = 0, scale = 1, factor;
	size_t i = 0, digits = 0;
	bool dot = false;

	for (; (s[i] >= '0' && s[i] <= '9') || (s[i] == '.' && !dot); i++) {
		if (s[i] == '.') {
			dot = true;
			continue;
		}
		value = value * 10 + (unsigned)(s[i] - '0');
		scale = dot ? scale * 10 : scale;
		if (++digits > 19) {
			*ret_why = "too many digits";
			return false;
		}
	}
	*ret_why = "must be a size in bytes such as 1073741824, \"1Gi\" or \"10G\"";
	if (!digits || !unit_factor(s + i, &factor))
		return false;
	/* value < 2^64 and factor < 2^61, so that the product fits. */
	value *= factor;
	*ret_why = "must be a whole number of bytes";
	if (value % scale)
		return false;
	*ret_why = "must be less than 8Ei";
	if (value / scale > SIZE_BYTES_MAX)
		return false;
	*ret = (uint64_t)(value / scale);
	return true;
}

bool kube_size_parse(const json_t *value, uint64_t *ret_bytes, const char **ret_why)
{
	const char *why;

	if (!ret_why)
		ret_why = &why;
	if (json_is_integer(value)) {
		*ret_why = "must not be negative";
		if (json_integer_value(value) < 0)
			return false;
		*ret_bytes = (uint64_t)json_integer_value(value);
		return true;
	}
	if (json_is_string(value))
		return size_text_parse(json_string_value(value), ret_bytes, ret_why);
	*ret_why = "must be an integer or a quantity such as \"10Gi\"";
	return false;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back (era of 400 years, year begins in March). */
static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (int64_t)(m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *ret_y, unsigned *ret_m, unsigned *ret_d)
{
	int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*ret_d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*ret_m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*ret_y = yoe + era * 400 + (*ret_m <= 2);
}

const char *kube_time_format(uint64_t ns, bool micro, char *buf, size_t size)
{
	uint64_t s = ns / NSEC_PER_SEC, of_day = s % 86400;
	char fraction[16] = "";
	unsigned month, day;
	int64_t year;

	date_of((int64_t)(s / 86400), &year, &month, &day);
	if (micro)
		(void)snprintf(fraction, sizeof(fraction), ".%06" PRIu64,
			       ns % NSEC_PER_SEC / NSEC_PER_USEC);
	(void)snprintf(buf, size,
		       "%04" PRId64 "-%02u-%02uT%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 "%sZ", year,
		       month, day, of_day / 3600, of_day / 60 % 60, of_day % 60, fraction);
	return buf;
}

/* n digits, then the byte end when it is not 0; moves *s on. */
static bool take_number(const char **s, unsigned n, char end, unsigned *ret)
{
	*ret = 0;
	for (unsigned i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		*ret = *ret * 10 + (unsigned)(**s - '0');
	}
	if (!end)
		return true;
	return *(*s)++ == end;
}

/* ".123" -> ns; nothing is fine. */
static bool take_fraction(const char **s, uint64_t *ret_ns)
{
	uint64_t unit = NSEC_PER_SEC / 10;

	*ret_ns = 0;
	if (**s != '.')
		return true;
	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
		*ret_ns += unit * (uint64_t)(**s - '0');
	return (*s)[-1] != '.';
}

/* "Z", "+02:00" to the end of the text -> seconds east. */
static bool take_offset(const char *s, int64_t *ret_s)
{
	int sign = *s == '-' ? -1 : 1;
	unsigned h, m;

	*ret_s = 0;
	if (*s == 'Z' || *s == 'z')
		return !s[1];
	if (*s != '+' && *s != '-')
		return false;
	s++;
	if (!take_number(&s, 2, ':', &h) || !take_number(&s, 2, 0, &m) || *s || h > 23 || m > 59)
		return false;
	*ret_s = sign * ((int64_t)h * 3600 + (int64_t)m * 60);
	return true;
}

bool kube_time_parse(const char *s, uint64_t *ret_ns)
{
	static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned y, mo, d, h, mi, sec;
	uint64_t fraction;
	int64_t offset, total;

	if (!take_number(&s, 4, '-', &y) || !take_number(&s, 2, '-', &mo) ||
	    !take_number(&s, 2, 0, &d) || (*s != 'T' && *s != 't'))
		return false;
	s++;
	if (!take_number(&s, 2, ':', &h) || !take_number(&s, 2, ':', &mi) ||
	    !take_number(&s, 2, 0, &sec) || !take_fraction(&s, &fraction) ||
	    !take_offset(s, &offset))
		return false;
	if (y < 1970 || y > 2200 || mo < 1 || mo > 12 || d < 1 || d > month_days[mo - 1] ||
	    h > 23 || mi > 59 || sec > 60)
		return false;
	if (mo == 2 && d == 29 && (y % 4 || (y % 100 == 0 && y % 400)))
		return false;
	total = days_of(y, mo, d) * 86400 + (int64_t)h * 3600 + (int64_t)mi * 60 + sec - offset;
	if (total < 0)
		return false;
	*ret_ns = (uint64_t)total * NSEC_PER_SEC + fraction;
	return true;
}
