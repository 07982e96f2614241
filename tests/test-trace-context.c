/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-trace-context.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Section numbers are those of W3C Trace Context; "L2" marks what level 2 has changed. */

#define T "0af7651916cd43dd8448eb211c80319c"
#define S "b7ad6b7169203331"
#define T0 "00000000000000000000000000000000"
#define S0 "0000000000000000"
#define GOOD "00-" T "-" S "-01"
#define SAME(text) text, text

typedef struct
{
  const char *name;
  const char *rule;     /* the section that allows or forbids it */
  const char *text;
  const char *expected; /* what is sent on; NULL: an error */
  const char *message;  /* part of the error's message */
} Row;

static const Row traceparents[] = {
  { "flags-00", "3.2.2.5", SAME ("00-" T "-" S "-00") },
  { "flags-01", "3.2.2.5.1", SAME (GOOD) },
  { "flags-02", "3.2.2.5.2 L2", SAME ("00-" T "-" S "-02") },
  { "flags-03", "3.2.2.5.2 L2", SAME ("00-" T "-" S "-03") },
  { "flags-04-cleared", "3.2.2.5.3 L2", "00-" T "-" S "-04", "00-" T "-" S "-00" },
  { "flags-09-masked", "3.2.2.5", "00-" T "-" S "-09", "00-" T "-" S "-01" },
  { "flags-0e-masked", "3.2.2.5", "00-" T "-" S "-0e", "00-" T "-" S "-02" },
  { "flags-10-cleared", "3.2.2.5.3 L2", "00-" T "-" S "-10", "00-" T "-" S "-00" },
  { "flags-30-cleared", "3.2.2.5.3 L2", "00-" T "-" S "-30", "00-" T "-" S "-00" },
  { "flags-ff-masked", "3.2.2.5.3 L2", "00-" T "-" S "-ff", "00-" T "-" S "-03" },
  { "trace-id-only-last", "3.2.2.3", SAME ("00-00000000000000000000000000000001-" S "-01") },
  { "trace-id-only-first", "3.2.2.3", SAME ("00-10000000000000000000000000000000-" S "-01") },
  { "trace-id-all-f", "3.2.2.3", SAME ("00-ffffffffffffffffffffffffffffffff-" S "-01") },
  { "span-id-only-last", "3.2.2.4", SAME ("00-" T "-0000000000000001-01") },
  { "span-id-only-first", "3.2.2.4", SAME ("00-" T "-a000000000000000-01") },
  { "version-01", "3.2.4", "01-" T "-" S "-01", GOOD },
  { "version-fe", "3.2.4", "fe-" T "-" S "-01", GOOD },
  { "version-f0", "3.2.4", "f0-" T "-" S "-01", GOOD },
  { "version-0f", "3.2.4", "0f-" T "-" S "-01", GOOD },
  { "version-cc-with-more", "3.2.4", "cc-" T "-" S "-01-what-the-future-will-be-like", GOOD },
  { "version-cc-with-dash", "3.2.4", "cc-" T "-" S "-01-", GOOD },
  { "version-cc-any-more", "3.2.4", "cc-" T "-" S "-01-\x01\xff ,=", GOOD },
  { "version-cc-flags-masked", "3.2.4", "cc-" T "-" S "-fd", GOOD },

  { "empty", "3.2.2", "", NULL, "shorter than 55" },
  { "one-char", "3.2.2", "0", NULL, "shorter than 55" },
  { "only-version", "3.2.2", "00", NULL, "shorter than 55" },
  { "no-flags", "3.2.2.2", "00-" T "-" S, NULL, "shorter than 55" },
  { "flags-missing", "3.2.2.5", "00-" T "-" S "-", NULL, "shorter than 55" },
  { "flags-one-digit", "3.2.2.5", "00-" T "-" S "-1", NULL, "shorter than 55" },
  { "version-cc-short", "3.2.4", "cc-" T "-" S "-1", NULL, "shorter than 55" },
  { "version-one-digit", "3.2.2.1", "0-" T "-" S "-01", NULL, "shorter than 55" },
  { "trace-id-31", "3.2.2.3", "00-af7651916cd43dd8448eb211c80319c-" S "-01", NULL, "shorter than 55" },
  { "span-id-15", "3.2.2.4", "00-" T "-7ad6b7169203331-01", NULL, "shorter than 55" },
  { "version-ff", "3.2.2.1", "ff-" T "-" S "-01", NULL, "version ff" },
  { "version-ff-with-more", "3.2.2.1", "ff-" T "-" S "-01-more", NULL, "version ff" },
  { "version-upper", "3.2.2.1", "CC-" T "-" S "-01", NULL, "version is not" },
  { "version-upper-ff", "3.2.2.1", "FF-" T "-" S "-01", NULL, "version is not" },
  { "version-dot-first", "3.2.2.1", ".0-" T "-" S "-01", NULL, "version is not" },
  { "version-dot-second", "3.2.2.1", "0.-" T "-" S "-01", NULL, "version is not" },
  { "version-three-digits", "3.2.2.1", "000-" T "-" S "-01", NULL, "version is not" },
  { "version-no-dash", "3.2.4", "00_" T "-" S "-01", NULL, "version is not" },
  { "space-before", "3.2.2", " " GOOD, NULL, "version is not" },
  { "tab-before", "3.2.2", "\t" GOOD, NULL, "version is not" },
  { "trace-id-zero", "3.2.2.3", "00-" T0 "-" S "-01", NULL, "trace id is all zeros" },
  { "trace-id-zero-cc", "3.2.2.3", "cc-" T0 "-" S "-01", NULL, "trace id is all zeros" },
  { "trace-id-upper", "3.2.2.2", "00-0AF7651916cd43dd8448eb211c80319c-" S "-01", NULL, "trace id is not" },
  { "trace-id-g", "3.2.2.2", "00-gaf7651916cd43dd8448eb211c80319c-" S "-01", NULL, "trace id is not" },
  { "trace-id-last-bad", "3.2.2.2", "00-0af7651916cd43dd8448eb211c80319.-" S "-01", NULL, "trace id is not" },
  { "trace-id-minus", "3.2.2.2", "00--af7651916cd43dd8448eb211c80319c-" S "-01", NULL, "trace id is not" },
  { "trace-id-high-bit", "3.2.2.2", "00-\xb0" "000000000000000000000000000000a-" S "-01", NULL, "trace id" },
  { "trace-id-33", "3.2.2.3", "00-" T "0-" S "-01", NULL, "trace id is not" },
  { "trace-id-no-dash", "3.2.2.2", "00-" T "_" S "-01", NULL, "trace id is not" },
  { "trace-id-upper-cc", "3.2.4", "cc-0AF7651916cd43dd8448eb211c80319c-" S "-01", NULL, "trace id is not" },
  { "span-id-zero", "3.2.2.4", "00-" T "-" S0 "-01", NULL, "parent id is all zeros" },
  { "span-id-zero-cc", "3.2.2.4", "cc-" T "-" S0 "-01-more", NULL, "parent id is all zeros" },
  { "span-id-upper", "3.2.2.4", "00-" T "-B7ad6b7169203331-01", NULL, "parent id is not" },
  { "span-id-first-bad", "3.2.2.4", "00-" T "-.7ad6b7169203331-01", NULL, "parent id is not" },
  { "span-id-last-bad", "3.2.2.4", "00-" T "-b7ad6b716920333x-01", NULL, "parent id is not" },
  { "span-id-17", "3.2.2.4", "00-" T "-" S "0-01", NULL, "parent id is not" },
  { "span-id-no-dash", "3.2.2.2", "00-" T "-" S "_01", NULL, "parent id is not" },
  { "flags-dot-first", "3.2.2.5", "00-" T "-" S "-.0", NULL, "flags are not" },
  { "flags-dot-second", "3.2.2.5", "00-" T "-" S "-0.", NULL, "flags are not" },
  { "flags-upper", "3.2.2.5", "00-" T "-" S "-0A", NULL, "flags are not" },
  { "flags-bad-cc", "3.2.4", "cc-" T "-" S "-0x-more", NULL, "flags are not" },
  { "flags-three-digits", "3.2.2.2", GOOD "0", NULL, "longer than" },
  { "space-after", "3.2.2.2", GOOD " ", NULL, "longer than" },
  { "newline-after", "3.2.2.2", GOOD "\n", NULL, "longer than" },
  { "dot-after", "3.2.2.2", GOOD ".", NULL, "longer than" },
  { "dash-after", "3.2.2.2", GOOD "-", NULL, "longer than" },
  { "more-after", "3.2.2.2", GOOD "-what-the-future-will-be-like", NULL, "longer than" },
  { "cc-dot-after", "3.2.4", "cc-" T "-" S "-01.what-the-future-will-be-like", NULL, "no dash" },
  { "cc-flags-three-digits", "3.2.4", "cc-" T "-" S "-010", NULL, "no dash" },
};

#define R16(c) c c c c c c c c c c c c c c c c
#define R128(c) R16 (c) R16 (c) R16 (c) R16 (c) R16 (c) R16 (c) R16 (c) R16 (c)
#define R256(c) R128 (c) R128 (c)
#define R240(c) R128 (c) R16 (c) R16 (c) R16 (c) R16 (c) R16 (c) R16 (c) R16 (c)
#define M8(p) p "0=1," p "1=1," p "2=1," p "3=1," p "4=1," p "5=1," p "6=1," p "7=1"
#define M32 M8 ("a") "," M8 ("b") "," M8 ("c") "," M8 ("d")

static const Row tracestates[] = {
  { "one", "3.3.1.2", SAME ("rojo=00f067aa0ba902b7") },
  { "two-in-order", "3.3.1.2", SAME ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE") },
  { "order-not-sorted", "3.5", SAME ("z=1,a=2,m=3") },
  { "key-all-chars", "3.3.1.3.1", SAME ("abcdefghijklmnopqrstuvwxyz0123456789_-*/=1") },
  { "key-one-char", "3.3.1.3.1", SAME ("a=1") },
  { "key-256", "3.3.1.3.1", SAME (R256 ("k") "=1") },
  { "key-tenant", "3.3.1.3.1", SAME ("fw529a3039@dt=FfAAAAB") },
  { "key-tenant-digit", "3.3.1.3.1", SAME ("0tenant@sys=1") },
  { "key-tenant-longest", "3.3.1.3.1", SAME (R240 ("t") "t@ssssssssssssss=1") },
  { "key-digit-first", "3.3.1.3.1 L2", SAME ("0a=1") },
  { "key-only-digits", "3.3.1.3.1 L2", SAME ("42=1") },
  { "key-many-at", "3.3.1.3.1 L2", SAME ("a@b@c=1") },
  { "key-at-last", "3.3.1.3.1 L2", SAME ("a@=1") },
  { "key-long-system", "3.3.1.3.1 L2", SAME ("t@sssssssssssssssssss=1") },
  { "key-system-digit", "3.3.1.3.1 L2", SAME ("t@0=1") },
  { "key-at-256", "3.3.1.3.1 L2", SAME ("a" R240 ("@") "aaaaaaaaaaaaaaa=1") },
  { "keys-differ-in-end", "3.3.1.4", SAME ("foo=1,foo1=2,fo=3,foo@x=4") },
  { "value-one-char", "3.3.1.3.2", SAME ("a=!") },
  { "value-256", "3.3.1.3.2", SAME ("a=" R256 ("v")) },
  { "value-256-then-blanks", "3.3.1.3.2", "a=" R256 ("v") "  \t,b=1", "a=" R256 ("v") ",b=1" },
  { "value-punctuation", "3.3.1.3.2", SAME ("a=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~") },
  { "value-letters", "3.3.1.3.2", SAME ("a=ABCXYZabcxyz0189") },
  { "value-space-inside", "3.3.1.3.2", SAME ("a=b c  d") },
  { "value-space-first", "3.3.1.3.2", SAME ("a=  b") },
  { "value-space-last", "3.3.1.3.2", "a=b  ", "a=b" },
  { "space-around-comma", "3.3.1.1", "a=1 , b=2", "a=1,b=2" },
  { "tab-around-comma", "3.3.1.1", "a=1\t,\tb=2", "a=1,b=2" },
  { "mixed-blanks", "3.3.1.1", " \t a=1 \t ,\t \tb=2\t ", "a=1,b=2" },
  { "blank-before", "3.3.1.1", " a=1", "a=1" },
  { "tab-after", "3.3.1.1", "a=1\t", "a=1" },
  { "empty-first", "3.3.1.1", ",a=1", "a=1" },
  { "empty-last", "3.3.1.1", "a=1,", "a=1" },
  { "empty-between", "3.3.1.1", "a=1,,,b=2", "a=1,b=2" },
  { "blank-between", "3.3.1.1", "a=1, ,\t,b=2", "a=1,b=2" },
  { "members-32", "3.3.1.2", SAME (M32) },
  { "members-32-and-empty", "3.3.1.2", ", ," M32 ",,", M32 },
  { "nothing", "3.3.1.1", "", NULL },
  { "only-blanks", "3.3.1.1", " \t ", NULL },
  { "only-commas", "3.3.1.1", ",,", NULL },
  { "only-commas-and-blanks", "3.3.1.1", " ,\t, ", NULL },

  { "bad-members-33", "3.3.1.2", M32 ",e=1", NULL },
  { "bad-no-equals", "3.3.1.2", "a", NULL },
  { "bad-no-equals-second", "3.3.1.2", "a=1,b", NULL },
  { "bad-semicolon-list", "3.3.1.2", "a=1;b=2", NULL },
  { "bad-key-empty", "3.3.1.3.1", "=1", NULL },
  { "bad-key-upper-first", "3.3.1.3.1", "Foo=1", NULL },
  { "bad-key-upper", "3.3.1.3.1", "fOo=1", NULL },
  { "bad-key-dot", "3.3.1.3.1", "foo.bar=1", NULL },
  { "bad-key-space-after", "3.3.1.3.1", "foo =1", NULL },
  { "bad-key-tab-after", "3.3.1.3.1", "foo\t=1", NULL },
  { "bad-key-space-inside", "3.3.1.3.1", "foo bar=1", NULL },
  { "bad-key-at-first", "3.3.1.3.1", "@foo=1", NULL },
  { "bad-key-underscore-first", "3.3.1.3.1", "_foo=1", NULL },
  { "bad-key-dash-first", "3.3.1.3.1", "-foo=1", NULL },
  { "bad-key-star-first", "3.3.1.3.1", "*foo=1", NULL },
  { "bad-key-slash-first", "3.3.1.3.1", "/foo=1", NULL },
  { "bad-key-brace", "3.3.1.3.1", "foo{=1", NULL },
  { "bad-key-high-bit", "3.3.1.3.1", "f\xc3\xb6=1", NULL },
  { "bad-key-257", "3.3.1.3.1", R256 ("k") "k=1", NULL },
  { "bad-key-tenant-257", "3.3.1.3.1", R240 ("t") "tt@ssssssssssssss=1", NULL },
  { "bad-second-key", "3.3.1.3.1", "a=1,B=2", NULL },
  { "bad-value-empty", "3.3.1.3.2", "a=", NULL },
  { "bad-value-empty-first", "3.3.1.3.2", "a=,b=1", NULL },
  { "bad-value-only-spaces", "3.3.1.3.2", "a=   ", NULL },
  { "bad-value-equals", "3.3.1.3.2", "a=b=c", NULL },
  { "bad-value-equals-first", "3.3.1.3.2", "a==b", NULL },
  { "bad-value-equals-last", "3.3.1.3.2", "a=b=", NULL },
  { "bad-value-tab-inside", "3.3.1.3.2", "a=b\tc", NULL },
  { "bad-value-tab-first", "3.3.1.3.2", "a=\tb", NULL },
  { "bad-value-newline", "3.3.1.3.2", "a=b\n", NULL },
  { "bad-value-return", "3.3.1.3.2", "a=b\r\nc=d", NULL },
  { "bad-value-control", "3.3.1.3.2", "a=b\x1f", NULL },
  { "bad-value-delete", "3.3.1.3.2", "a=b\x7f", NULL },
  { "bad-value-high-bit", "3.3.1.3.2", "a=\xc3\xb6", NULL },
  { "bad-value-257", "3.3.1.3.2", "a=" R256 ("v") "v", NULL },
  { "bad-value-257-with-space", "3.3.1.3.2", "a= " R256 ("v"), NULL },
  { "bad-newline-between", "3.3.1.1", "a=1,\nb=2", NULL },
  { "bad-duplicate", "3.3.1.4", "foo=1,foo=1", NULL },
  { "bad-duplicate-values-differ", "3.3.1.4", "foo=1,foo=2", NULL },
  { "bad-duplicate-apart", "3.3.1.4", "foo=1,bar=2,baz=3,foo=4", NULL },
  { "bad-duplicate-last-of-32", "3.3.1.4", M8 ("a") "," M8 ("b") "," M8 ("c") "," M8 ("a"), NULL },
};

static void
test_traceparent (gconstpointer data)
{
  const Row *row = data;
  g_autofree char *text = g_strdup (row->text); /* a heap block of its size shows reads behind the end */
  g_autofree char *trace_id = NULL;
  g_autofree char *span_id = NULL;
  g_autoptr(KcpTraceContext) context = NULL;
  g_autoptr(GError) error = NULL;

  g_test_message ("W3C Trace Context %s", row->rule);
  context = kcp_trace_context_parse (text, "a=1", &error);

  if (row->expected == NULL)
    {
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
      g_assert_nonnull (strstr (error->message, row->message));
      g_assert_null (context);
      return;
    }

  trace_id = g_strndup (row->expected + 3, 32);
  span_id = g_strndup (row->expected + 36, 16);

  g_assert_no_error (error);
  g_assert_cmpstr (kcp_trace_context_get_traceparent (context), ==, row->expected);
  g_assert_cmpstr (kcp_trace_context_get_trace_id (context), ==, trace_id);
  g_assert_cmpstr (kcp_trace_context_get_span_id (context), ==, span_id);
  g_assert_cmpstr (kcp_trace_context_get_tracestate (context), ==, "a=1");
  g_assert_cmpint (kcp_trace_context_is_sampled (context), ==, strchr ("13", row->expected[54]) != NULL);
}

static void
test_tracestate (gconstpointer data)
{
  const Row *row = data;
  g_autofree char *text = g_strdup (row->text);
  g_autoptr(KcpTraceContext) context = NULL;
  g_autoptr(KcpTraceContext) child = NULL;
  g_autoptr(GError) error = NULL;

  g_test_message ("W3C Trace Context %s", row->rule);
  context = kcp_trace_context_parse (GOOD, text, &error);

  /* Nothing of the caller's text may be in use any longer. */
  memset (text, '#', strlen (text));

  g_assert_no_error (error);
  g_assert_cmpstr (kcp_trace_context_get_traceparent (context), ==, GOOD);
  g_assert_cmpstr (kcp_trace_context_get_tracestate (context), ==, row->expected);

  child = kcp_trace_context_new_child (context);
  g_clear_pointer (&context, kcp_trace_context_unref);
  g_assert_cmpstr (kcp_trace_context_get_tracestate (child), ==, row->expected);
}

/* Whatever a peer sends, a message stays short, is valid UTF-8, and has no control characters. */
static void
test_error_bounded (void)
{
  g_autofree char *huge = g_malloc (1 << 20);
  g_autoptr(GError) error = NULL;

  memset (huge, '\xff', 1 << 20);
  memcpy (huge, "\n\x1b[31m\"", 7);
  huge[(1 << 20) - 1] = '\0';

  g_assert_null (kcp_trace_context_parse (huge, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_cmpuint (strlen (error->message), <, 400);
  g_assert_true (g_str_is_ascii (error->message));
  for (const char *c = error->message; *c != '\0'; c++)
    g_assert_true (g_ascii_isprint (*c));

  g_assert_null (kcp_trace_context_parse (huge, NULL, NULL));
}

/* What a context must look like wherever it came from. */
static void
assert_well_formed (KcpTraceContext *context)
{
  g_autoptr(KcpTraceContext) again = NULL;
  g_autoptr(GError) error = NULL;

  again = kcp_trace_context_parse (kcp_trace_context_get_traceparent (context),
                                   kcp_trace_context_get_tracestate (context), &error);
  g_assert_no_error (error);

#define ASSERT_SAME(what) \
  g_assert_cmpstr (kcp_trace_context_get_##what (again), ==, kcp_trace_context_get_##what (context))
  ASSERT_SAME (traceparent);
  ASSERT_SAME (tracestate);
  ASSERT_SAME (trace_id);
  ASSERT_SAME (span_id);
}

static void
test_new (void)
{
  g_autoptr(KcpTraceContext) context = kcp_trace_context_new ();

  assert_well_formed (context); /* also parses without a tracestate */
  g_assert_false (kcp_trace_context_is_sampled (context));
  g_assert_null (kcp_trace_context_get_tracestate (context));
  g_assert_true (g_str_has_suffix (kcp_trace_context_get_traceparent (context), "-02"));
}

static void
test_child (void)
{
  static const char * const flags[] = { "00", "01", "02", "03" };

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    {
      g_autofree char *text = g_strconcat ("00-" T "-" S "-", flags[i], NULL);
      g_autoptr(KcpTraceContext) parent = kcp_trace_context_parse (text, "a=1, b=2", NULL);
      g_autoptr(KcpTraceContext) child = kcp_trace_context_new_child (parent);

      assert_well_formed (child);
      g_assert_cmpstr (kcp_trace_context_get_trace_id (child), ==, T);
      g_assert_cmpstr (kcp_trace_context_get_span_id (child), !=, S);
      g_assert_cmpstr (kcp_trace_context_get_tracestate (child), ==, "a=1,b=2");
      g_assert_true (g_str_has_suffix (kcp_trace_context_get_traceparent (child), flags[i]));
      g_assert_cmpint (kcp_trace_context_is_sampled (child), ==, kcp_trace_context_is_sampled (parent));

      /* The parent is as before. */
      g_assert_cmpstr (kcp_trace_context_get_traceparent (parent), ==, text);
    }
}

static void
test_child_of_nothing (void)
{
  g_autoptr(KcpTraceContext) context = kcp_trace_context_new_child (NULL);

  assert_well_formed (context);
  g_assert_true (g_str_has_suffix (kcp_trace_context_get_traceparent (context), "-02"));
}

/* Marks which of the 16 digits were seen at each place. */
static void
mark_digits (guint16    *seen,
             const char *id)
{
  for (gsize i = 0; id[i] != '\0'; i++)
    seen[i] |= 1u << g_ascii_xdigit_value (id[i]);
}

static void
test_unique (void)
{
  g_autoptr(GHashTable) ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(KcpTraceContext) root = kcp_trace_context_new ();
  guint16 trace_digits[32] = { 0, };
  guint16 span_digits[16] = { 0, };

  for (guint i = 0; i < 100000; i++)
    {
      g_autoptr(KcpTraceContext) context = kcp_trace_context_new ();
      g_autoptr(KcpTraceContext) child = kcp_trace_context_new_child (root);

      g_assert_true (g_hash_table_add (ids, g_strdup (kcp_trace_context_get_trace_id (context))));
      g_assert_true (g_hash_table_add (ids, g_strdup (kcp_trace_context_get_span_id (context))));
      g_assert_true (g_hash_table_add (ids, g_strdup (kcp_trace_context_get_span_id (child))));
      mark_digits (trace_digits, kcp_trace_context_get_trace_id (context));
      mark_digits (span_digits, kcp_trace_context_get_span_id (child));
    }

  /* Every place is random, not only enough of them. */
  for (guint i = 0; i < 32; i++)
    g_assert_cmphex (trace_digits[i] & span_digits[i % 16], ==, 0xffff);
}

#define N_THREADS 8
#define N_PER_THREAD 5000

/* Also takes and drops the shared parent, so that its count is under fire. */
static gpointer
make_many (gpointer data)
{
  KcpTraceContext *parent = data;
  GPtrArray *made = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_trace_context_unref);

  for (guint i = 0; i < N_PER_THREAD; i++)
    {
      g_autoptr(KcpTraceContext) ours = kcp_trace_context_ref (parent);

      g_ptr_array_add (made, kcp_trace_context_new_child (ours));
      g_ptr_array_add (made, kcp_trace_context_new ());
    }

  return made;
}

static void
test_threads (void)
{
  g_autoptr(GHashTable) ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(KcpTraceContext) parent = kcp_trace_context_parse (GOOD, "a=1", NULL);
  GThread *threads[N_THREADS];

  for (guint i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("make-many", make_many, parent);

  for (guint i = 0; i < N_THREADS; i++)
    {
      g_autoptr(GPtrArray) made = g_thread_join (threads[i]);

      for (guint j = 0; j < made->len; j++)
        g_assert_true (g_hash_table_add (ids, g_strdup (kcp_trace_context_get_span_id (made->pdata[j]))));
    }

  g_assert_cmpuint (g_hash_table_size (ids), ==, N_THREADS * N_PER_THREAD * 2);
  g_assert_cmpstr (kcp_trace_context_get_tracestate (parent), ==, "a=1");
}

/* A forked child must not repeat the ids its parent is about to use. */
static void
test_fork (void)
{
  KcpTraceContext *warm_up = kcp_trace_context_new ();
  g_autoptr(KcpTraceContext) ours = NULL;
  char theirs[56] = { 0, };
  int status;
  int fds[2];
  pid_t pid;

  kcp_trace_context_unref (warm_up); /* from now on this thread has a pool */
  g_assert_cmpint (pipe (fds), ==, 0);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);

  if (pid == 0)
    {
      KcpTraceContext *context = kcp_trace_context_new ();
      gboolean written = write (fds[1], kcp_trace_context_get_traceparent (context), 55) == 55;

      kcp_trace_context_unref (context);
      _exit (written ? 0 : 1);
    }

  ours = kcp_trace_context_new ();
  close (fds[1]);
  g_assert_cmpint (read (fds[0], theirs, 55), ==, 55);
  close (fds[0]);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);

  g_assert_cmpstr (kcp_trace_context_get_traceparent (ours), !=, theirs);
}

static void
test_boxed (void)
{
  KcpTraceContext *context = kcp_trace_context_parse (GOOD, "a=1", NULL);
  KcpTraceContext *copy = g_boxed_copy (KCP_TYPE_TRACE_CONTEXT, context);
  g_auto(GValue) value = G_VALUE_INIT;

  g_assert_true (G_TYPE_IS_BOXED (KCP_TYPE_TRACE_CONTEXT));
  g_assert_true (copy == context);
  g_assert_true (kcp_trace_context_ref (context) == context);

  g_value_init (&value, KCP_TYPE_TRACE_CONTEXT);
  g_value_set_boxed (&value, context);

  /* Three of the four references go; what the value holds is still whole. */
  kcp_trace_context_unref (context);
  kcp_trace_context_unref (context);
  g_boxed_free (KCP_TYPE_TRACE_CONTEXT, copy);

  context = g_value_get_boxed (&value);
  g_assert_cmpstr (kcp_trace_context_get_traceparent (context), ==, GOOD);
  g_assert_cmpstr (kcp_trace_context_get_tracestate (context), ==, "a=1");
}

static void
add_rows (const char    *where,
          const Row     *rows,
          gsize          n_rows,
          GTestDataFunc  func)
{
  for (gsize i = 0; i < n_rows; i++)
    {
      g_autofree char *path = g_strdup_printf ("/trace-context/%s/%s", where, rows[i].name);

      g_test_add_data_func (path, &rows[i], func);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_rows ("traceparent", traceparents, G_N_ELEMENTS (traceparents), test_traceparent);
  add_rows ("tracestate", tracestates, G_N_ELEMENTS (tracestates), test_tracestate);
  g_test_add_func ("/trace-context/error-bounded", test_error_bounded);
  g_test_add_func ("/trace-context/new", test_new);
  g_test_add_func ("/trace-context/child", test_child);
  g_test_add_func ("/trace-context/child-of-nothing", test_child_of_nothing);
  g_test_add_func ("/trace-context/unique", test_unique);
  g_test_add_func ("/trace-context/threads", test_threads);
  g_test_add_func ("/trace-context/fork", test_fork);
  g_test_add_func ("/trace-context/boxed", test_boxed);

  return g_test_run ();
}
