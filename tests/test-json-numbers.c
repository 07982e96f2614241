/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-json.h"

#include <locale.h>
#include <math.h>
#include <string.h>

static JsonNode *
parse (const char *text)
{
  g_autoptr(GError) error = NULL;
  JsonNode *node = kcp_json_parse (text, -1, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);

  return node;
}

static char *
write_text (JsonNode *node)
{
  g_autoptr(GError) error = NULL;
  char *text = kcp_json_to_string (node, &error);

  g_assert_no_error (error);
  g_assert_nonnull (text);

  return text;
}

static guint64
random_bits (void)
{
  return (guint64) g_test_rand_int () << 32 | (guint32) g_test_rand_int ();
}

static void
test_integers (void)
{
  static const gint64 edges[] = {
    G_MININT64, G_MININT64 + 1, -10, -9, -1, 0, 9, 10, G_MAXINT64 - 1, G_MAXINT64,
  };

  for (guint i = 0; i < 20000; i++)
    {
      gint64 value = i < G_N_ELEMENTS (edges) ? edges[i] : (gint64) random_bits () >> (i % 64);
      g_autoptr(JsonNode) node = json_node_init_int (json_node_alloc (), value);
      g_autofree char *text = write_text (node);
      g_autofree char *expected = g_strdup_printf ("%" G_GINT64_FORMAT, value);
      g_autoptr(JsonNode) again = parse (text);

      g_assert_cmpstr (text, ==, expected);
      g_assert_cmpuint (json_node_get_value_type (again), ==, G_TYPE_INT64);
      g_assert_cmpint (json_node_get_int (again), ==, value);
    }
}

static void
assert_double_round_trip (double value)
{
  g_autoptr(JsonNode) node = json_node_init_double (json_node_alloc (), value);
  g_autofree char *text = write_text (node);
  g_autoptr(JsonNode) again = parse (text);
  double back = json_node_get_double (again);

  g_assert_cmpuint (json_node_get_value_type (again), ==, G_TYPE_DOUBLE);
  g_assert_cmpmem (&back, sizeof back, &value, sizeof value);
}

static void
test_doubles (void)
{
  for (guint i = 0; i < 20000; i++)
    {
      guint64 bits = random_bits ();
      double value;

      memcpy (&value, &bits, sizeof value);
      if (isfinite (value))
        assert_double_round_trip (value);
      assert_double_round_trip (g_test_rand_int () / 1000.0);
    }
}

/* What the quick way makes of short decimals is what the C library makes of them. */
static void
test_decimals (void)
{
  for (guint i = 0; i < 20000; i++)
    {
      guint32 before = (guint32) g_test_rand_int () >> (i % 32);
      guint32 after = (guint32) g_test_rand_int () >> (i % 31);
      g_autofree char *text = g_strdup_printf ("%s%u.%0*ue%d", i % 2 == 0 ? "-" : "", before,
                                               g_test_rand_int_range (1, 12), after,
                                               g_test_rand_int_range (-40, 40));
      g_autoptr(JsonNode) node = parse (text);

      g_assert_true (json_node_get_double (node) == g_ascii_strtod (text, NULL));
    }
}

static void
test_locale (void)
{
  static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "pl_PL.UTF-8", "de_DE" };
  g_autofree char *before = g_strdup (setlocale (LC_NUMERIC, NULL));
  g_autoptr(JsonNode) half = NULL;
  g_autoptr(JsonNode) many_digits = NULL;
  g_autoptr(JsonNode) comma = NULL;
  guint i = 0;

  while (i < G_N_ELEMENTS (names) &&
         (setlocale (LC_NUMERIC, names[i]) == NULL || strcmp (localeconv ()->decimal_point, ",") != 0))
    i++;

  if (i == G_N_ELEMENTS (names))
    {
      setlocale (LC_NUMERIC, before);
      g_test_skip ("there is no locale with a decimal comma");
      return;
    }

  assert_double_round_trip (1.5);
  assert_double_round_trip (M_PI);
  assert_double_round_trip (1.7e300);
  half = parse ("0.5");
  many_digits = parse ("3.14159265358979323846264338327950288");
  comma = kcp_json_parse ("1,5", -1, NULL);
  g_assert_true (json_node_get_double (half) == 0.5);
  g_assert_true (json_node_get_double (many_digits) == M_PI);
  g_assert_null (comma);
  setlocale (LC_NUMERIC, before);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/json-numbers/integers", test_integers);
  g_test_add_func ("/json-numbers/doubles", test_doubles);
  g_test_add_func ("/json-numbers/decimals", test_decimals);
  g_test_add_func ("/json-numbers/locale", test_locale);

  return g_test_run ();
}
