/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors: a list of terms that must all hold. */
#include "kube/selector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kube/text.h"

#define KEY_MAX   320
#define VALUE_MAX 256
#define TEXT_MAX  16384

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_ABSENT };

struct term {
	char key[KEY_MAX];
	enum op op;
	json_t *values; /* object used as a set */
};

struct kube_selector {
	bool labels;
	size_t n;
	struct term terms[KUBE_TERMS_MAX];
};

struct scan {
	const char *at;
	struct kube_fail *fail;
};

void kube_selector_free(struct kube_selector *selector)
{
	if (!selector)
		return;
	for (size_t i = 0; i < selector->n; i++)
		json_decref(selector->terms[i].values);
	free(selector);
}

/* Moves behind c when it is next. */
static bool take_byte(struct scan *s, char c)
{
	bool there = *s->at == c;

	s->at += there;
	return there;
}

static void skip_blanks(struct scan *s)
{
	s->at += strspn(s->at, " \t");
}

static int bad(struct scan *s, const char *what)
{
	return kube_fail_set(s->fail, KUBE_BAD_REQUEST,
			     "unable to parse selector: %s, found '%.40s'", what, s->at);
}

/* A word of the characters that keys and values may have. */
static int take_word(struct scan *s, char *buf, size_t size)
{
	size_t len = strcspn(s->at, " \t,=!()");

	if (len >= size)
		return bad(s, "a word is too long");
	memcpy(buf, s->at, len);
	buf[len] = 0;
	s->at += len;
	return 0;
}

static int take_values(struct scan *s, struct term *term, bool many)
{
	char value[VALUE_MAX];

	do {
		skip_blanks(s);
		if (take_word(s, value, sizeof(value)))
			return -EINVAL;
		if (!kube_label_value_valid(value))
			return kube_fail_set(s->fail, KUBE_BAD_REQUEST,
					     "unable to parse selector: invalid label value "
					     "\"%.80s\": at most 63 letters, digits, '-', '_' or "
					     "'.', a letter or digit at both ends",
					     value);
		(void)json_object_set_new(term->values, value, json_true());
		if (json_object_size(term->values) > KUBE_VALUES_MAX)
			return bad(s, "too many values");
		skip_blanks(s);
	} while (many && take_byte(s, ','));
	return 0;
}

static int take_set(struct scan *s, struct term *term)
{
	skip_blanks(s);
	if (!take_byte(s, '('))
		return bad(s, "expected '('");
	if (take_values(s, term, true))
		return -EINVAL;
	if (*s->at != ')')
		return bad(s, "expected ',' or ')'");
	s->at++;
	return 0;
}

/* After the key: the operator and its values. */
static int take_operator(struct scan *s, struct term *term)
{
	char word[16];

	skip_blanks(s);
	if (!*s->at || *s->at == ',') {
		term->op = OP_EXISTS;
		return 0;
	}
	if (*s->at == '=' || (*s->at == '!' && s->at[1] == '=')) {
		term->op = *s->at == '=' ? OP_IN : OP_NOT_IN;
		s->at += *s->at == '!' || s->at[1] == '=' ? 2 : 1;
		return take_values(s, term, false);
	}
	if (take_word(s, word, sizeof(word)))
		return -EINVAL;
	term->op = !strcmp(word, "in") ? OP_IN : OP_NOT_IN;
	if (strcmp(word, "in") != 0 && strcmp(word, "notin") != 0)
		return bad(s, "expected =, ==, !=, in or notin after the key");
	return take_set(s, term);
}

static int take_label_term(struct scan *s, struct term *term)
{
	bool absent = *s->at == '!';

	s->at += absent;
	skip_blanks(s);
	if (take_word(s, term->key, sizeof(term->key)))
		return -EINVAL;
	if (!kube_qualified_valid(term->key))
		return kube_fail_set(s->fail, KUBE_BAD_REQUEST,
				     "unable to parse selector: \"%.80s\" is no label key",
				     term->key);
	term->op = OP_ABSENT;
	return absent ? 0 : take_operator(s, term);
}

/* Values of field selectors run to the next comma; '\' quotes '\', ',' and '='. */
static int take_field_value(struct scan *s, struct term *term)
{
	char value[VALUE_MAX];
	size_t n = 0;

	for (; *s->at && *s->at != ','; s->at++) {
		if (*s->at == '\\' && s->at[1] && strchr("\\,=", s->at[1]))
			s->at++;
		if (n + 1 >= sizeof(value))
			return bad(s, "a value is too long");
		value[n++] = *s->at;
	}
	(void)json_object_setn_new_nocheck(term->values, value, n, json_true());
	return 0;
}

static int take_field_term(struct scan *s, const struct kube_resource *res, struct term *term)
{
	bool known;

	if (take_word(s, term->key, sizeof(term->key)))
		return -EINVAL;
	skip_blanks(s);
	if (*s->at != '=' && !(*s->at == '!' && s->at[1] == '='))
		return bad(s, "expected =, == or != after a field");
	term->op = *s->at == '=' ? OP_IN : OP_NOT_IN;
	s->at += *s->at == '!' || s->at[1] == '=' ? 2 : 1;
	known = !strcmp(term->key, "metadata.name") || !strcmp(term->key, "metadata.namespace");
	for (const char *const *f = res->fields; f && *f && !known; f++)
		known = !strcmp(*f, term->key);
	if (!known)
		return kube_fail_set(s->fail, KUBE_BAD_REQUEST, "field label not supported: %.80s",
				     term->key);
	return take_field_value(s, term);
}

static int parse(const char *text, const struct kube_resource *fields_of,
		 struct kube_selector **ret, struct kube_fail *fail)
{
	struct scan s = {.at = text ? text : "", .fail = fail};
	struct kube_selector *sel;
	int rc = 0;

	*ret = NULL;
	skip_blanks(&s);
	if (!*s.at)
		return 0;
	if (strlen(s.at) > TEXT_MAX)
		return kube_fail_set(fail, KUBE_BAD_REQUEST, "a selector of more than %d bytes",
				     TEXT_MAX);
	sel = calloc(1, sizeof(*sel));
	if (!sel)
		return kube_fail_set(fail, KUBE_UNAVAILABLE, "no memory for a selector");
	sel->labels = !fields_of;
	do {
		struct term *term = &sel->terms[sel->n];

		skip_blanks(&s);
		if (sel->n >= KUBE_TERMS_MAX) {
			rc = bad(&s, "too many terms");
			break;
		}
		term->values = json_object();
		sel->n++;
		rc = fields_of ? take_field_term(&s, fields_of, term) : take_label_term(&s, term);
		skip_blanks(&s);
		if (!rc && *s.at && *s.at != ',')
			rc = bad(&s, "expected ','");
	} while (!rc && take_byte(&s, ','));
	if (rc)
		kube_selector_free(sel);
	else
		*ret = sel;
	return rc;
}

int kube_label_selector_new(const char *text, struct kube_selector **ret, struct kube_fail *fail)
{
	return parse(text, NULL, ret, fail);
}

int kube_field_selector_new(const struct kube_resource *res, const char *text,
			    struct kube_selector **ret, struct kube_fail *fail)
{
	return parse(text, res, ret, fail);
}

static bool term_holds(const struct term *term, const char *value, bool there)
{
	bool listed = json_object_get(term->values, value) != NULL;

	switch (term->op) {
	case OP_IN:
		return there && listed;
	case OP_NOT_IN:
		return !there || !listed;
	case OP_EXISTS:
		return there;
	case OP_ABSENT:
		return !there;
	}
	return false;
}

/* A field as text; a field that is missing is "". */
static const char *field_text(const json_t *value, char *buf, size_t size)
{
	if (json_is_string(value))
		return json_string_value(value);
	buf[0] = 0;
	if (json_is_integer(value))
		(void)snprintf(buf, size, "%lld", (long long)json_integer_value(value));
	if (json_is_boolean(value))
		(void)str_copy(buf, size, json_is_true(value) ? "true" : "false");
	return buf;
}

bool kube_selector_match(const struct kube_selector *sel, const json_t *obj)
{
	const json_t *labels = kube_at(obj, "metadata.labels");

	for (size_t i = 0; sel && i < sel->n; i++) {
		const struct term *term = &sel->terms[i];
		const json_t *value =
			sel->labels ? json_object_get(labels, term->key) : kube_at(obj, term->key);
		char buf[32];

		if (!term_holds(term, field_text(value, buf, sizeof(buf)), !sel->labels || value))
			return false;
	}
	return true;
}

const char *kube_selector_name(const struct kube_selector *sel)
{
	for (size_t i = 0; sel && !sel->labels && i < sel->n; i++)
		if (sel->terms[i].op == OP_IN && !strcmp(sel->terms[i].key, "metadata.name"))
			return json_object_iter_key(json_object_iter(sel->terms[i].values));
	return NULL;
}
