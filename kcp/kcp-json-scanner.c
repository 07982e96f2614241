/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-json-scanner-private.h"

#include "kcp-error.h"

#include <float.h>
#include <math.h>

/* As much of the peer's text as a message quotes. */
#define EXCERPT_BYTES 40

void
kcp_json_scratch_init (KcpJsonScratch *scratch)
{
  scratch->data = scratch->first;
  scratch->size = sizeof scratch->first;
}

void
kcp_json_scratch_clear (KcpJsonScratch *scratch)
{
  if (scratch->data != scratch->first)
    g_free (scratch->data);
}

/* What was in it is lost. */
static char *
scratch_reserve (KcpJsonScratch *scratch,
                 gsize           size)
{
  if (size > scratch->size)
    {
      kcp_json_scratch_clear (scratch);
      scratch->data = g_malloc (size);
      scratch->size = size;
    }

  return scratch->data;
}

char *
kcp_json_excerpt (const char *bytes,
                  gsize       length)
{
  GString *out = g_string_new (NULL);
  const char *end = bytes + length;
  const char *cut = bytes + MIN (length, EXCERPT_BYTES);

  while (bytes < cut)
    {
      gunichar c = g_utf8_get_char_validated (bytes, end - bytes);

      if (c == (gunichar) -1 || c == (gunichar) -2)
        {
          g_string_append_printf (out, "\\x%02x", (guchar) *bytes++);
          continue;
        }

      /* A terminal that shows the message must not obey it. */
      if (g_unichar_isprint (c))
        g_string_append_unichar (out, c);
      else
        g_string_append_printf (out, "\\u%04x", c);

      bytes = g_utf8_next_char (bytes);
    }

  if (bytes < end)
    g_string_append (out, "…");

  return g_string_free (out, FALSE);
}

/* Columns are counted in characters, so that they fit what an editor shows. */
gboolean
kcp_json_scanner_fail (KcpJsonScanner *scanner,
                       const char     *position,
                       const char     *format,
                       ...)
{
  g_autofree char *reason = NULL;
  gsize line = 1, column = 1;
  va_list args;

  for (const char *p = scanner->start; p < position; p++)
    {
      if (*p == '\n')
        {
          line++;
          column = 1;
        }
      else if (((guchar) *p & 0xc0) != 0x80)
        {
          column++;
        }
    }

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);

  g_set_error (&scanner->error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
               "invalid JSON at %" G_GSIZE_FORMAT ":%" G_GSIZE_FORMAT " (byte %" G_GSIZE_FORMAT "): %s",
               line, column, (gsize) (position - scanner->start), reason);

  return FALSE;
}

static gboolean
is_word (char c)
{
  return g_ascii_isalnum (c) || c == '_' || c == '+' || c == '-' || c == '.';
}

gsize
kcp_json_scanner_word_length (const KcpJsonScanner *scanner)
{
  const char *p = scanner->p;

  while (p < scanner->end && is_word (*p))
    p++;

  return p - scanner->p;
}

/* Fails at the current position, with what is there: a word as a whole, else one character. */
gboolean
kcp_json_scanner_fail_expected (KcpJsonScanner *scanner,
                                const char     *expected)
{
  g_autofree char *found = NULL;
  gsize left = scanner->end - scanner->p;
  gsize length = kcp_json_scanner_word_length (scanner);

  if (left == 0)
    return kcp_json_scanner_fail (scanner, scanner->p, "expected %s, found the end of the text", expected);

  if (length == 0)
    {
      gunichar c = g_utf8_get_char_validated (scanner->p, left);

      length = c == (gunichar) -1 || c == (gunichar) -2 ? 1 : g_utf8_next_char (scanner->p) - scanner->p;
    }

  found = kcp_json_excerpt (scanner->p, length);

  return kcp_json_scanner_fail (scanner, scanner->p, "expected %s, found “%s”", expected, found);
}

/* The value of four hexadecimal digits, or -1. */
static int
hex4 (const char *p,
      const char *end)
{
  int value = 0;

  if (end - p < 4)
    return -1;

  for (int i = 0; i < 4; i++)
    {
      int digit = g_ascii_xdigit_value (p[i]);

      if (digit < 0)
        return -1;
      value = value * 16 + digit;
    }

  return value;
}

/* RFC 8259, section 7: a character beyond U+FFFF is two such escapes, and only such a one is.
 * @p is at the backslash; gives where the text goes on, or NULL. */
static const char *
read_unicode_escape (KcpJsonScanner  *scanner,
                     const char      *p,
                     const char      *end,
                     char           **out)
{
  int unit = hex4 (p + 2, end);
  int low = -1;
  gunichar c = unit;

  if (unit < 0)
    {
      kcp_json_scanner_fail (scanner, p, "“\\u” needs four hexadecimal digits");
      return NULL;
    }
  if (unit == 0)
    {
      kcp_json_scanner_fail (scanner, p, "U+0000 in a string");
      return NULL;
    }

  if (unit >= 0xd800 && unit <= 0xdbff && end - p >= 12 && p[6] == '\\' && p[7] == 'u')
    {
      low = hex4 (p + 8, end);
      c = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
  if (unit >= 0xd800 && unit <= 0xdfff && (low < 0xdc00 || low > 0xdfff))
    {
      kcp_json_scanner_fail (scanner, p, "surrogate “\\u%04x” without its partner", unit);
      return NULL;
    }

  *out += g_unichar_to_utf8 (c, *out);

  return p + (low >= 0 ? 12 : 6);
}

/* @p is at the backslash; gives where the text goes on, or NULL. */
static const char *
read_escape (KcpJsonScanner  *scanner,
             const char      *p,
             const char      *end,
             char           **out)
{
  static const char names[] = "\"\\/bfnrt";
  static const char meanings[] = "\"\\/\b\f\n\r\t";
  const char *name;

  if (p[1] == 'u')
    return read_unicode_escape (scanner, p, end, out);

  name = memchr (names, p[1], sizeof names - 1);
  if (name == NULL)
    {
      g_autofree char *found = kcp_json_excerpt (p, MIN (2, end - p));

      kcp_json_scanner_fail (scanner, p, "unknown escape “%s”", found);
      return NULL;
    }

  *(*out)++ = meanings[name - names];

  return p + 2;
}

/* Decodes what is between the quotes; it never gets longer by that. */
static gboolean
read_escaped_text (KcpJsonScanner *scanner,
                   const char     *p,
                   const char     *end,
                   char           *out)
{
  while (p < end)
    {
      const char *backslash = memchr (p, '\\', end - p);
      gsize plain = (backslash != NULL ? backslash : end) - p;

      memcpy (out, p, plain);
      out += plain;
      p += plain;
      if (backslash != NULL)
        p = read_escape (scanner, p, end, &out);
      if (p == NULL)
        return FALSE;
    }

  *out = '\0';

  return TRUE;
}

/* The closing quote of the string that begins at the current position, or NULL. */
static const char *
find_closing_quote (KcpJsonScanner *scanner,
                    gboolean       *non_ascii,
                    gboolean       *escaped)
{
  const char *p = scanner->p + 1;

  for (;;)
    {
      p = kcp_json_skip_plain (p, scanner->end, non_ascii);
      if (p < scanner->end && *p == '"')
        return p;

      if (p < scanner->end && *p != '\\')
        {
          kcp_json_scanner_fail (scanner, p, "control character 0x%02x in a string", (guchar) *p);
          return NULL;
        }
      if (scanner->end - p < 2)
        {
          kcp_json_scanner_fail (scanner, scanner->p, "string is not closed");
          return NULL;
        }

      *escaped = TRUE;
      p += 2;
    }
}

gboolean
kcp_json_scanner_take_string (KcpJsonScanner *scanner,
                              KcpJsonScratch *scratch)
{
  gboolean non_ascii = FALSE, escaped = FALSE;
  const char *close = find_closing_quote (scanner, &non_ascii, &escaped);
  const char *text = scanner->p + 1;
  const char *bad;
  char *out;

  if (close == NULL)
    return FALSE;

  if (non_ascii && !g_utf8_validate_len (text, close - text, &bad))
    return kcp_json_scanner_fail (scanner, bad, "byte 0x%02x is not UTF-8", (guchar) *bad);

  scanner->p = close + 1;
  out = scratch_reserve (scratch, close - text + 1);
  if (escaped)
    return read_escaped_text (scanner, text, close, out);

  memcpy (out, text, close - text);
  out[close - text] = '\0';

  return TRUE;
}

static gboolean
finish_integer (KcpJsonScanner *scanner,
                const char     *text,
                gsize           digits,
                guint64         magnitude,
                KcpJsonNumber  *number)
{
  gboolean negative = *text == '-';
  guint64 limit = (guint64) G_MAXINT64 + (negative ? 1 : 0);

  /* Nineteen digits never wrap, more may have. */
  if (digits > 19 || magnitude > limit)
    return kcp_json_scanner_fail (scanner, text, "integer does not fit in 64 bits");

  number->is_integer = TRUE;
  number->integer = (gint64) (negative ? -magnitude : magnitude);

  return TRUE;
}

/* The value is @mantissa × 10^@exponent, where @mantissa has @digits digits and did not wrap. */
static gboolean
small_double (gsize    digits,
              guint64  mantissa,
              gint64   exponent,
              double  *value)
{
#if FLT_EVAL_METHOD == 0
  static const double powers[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
  };

  if (digits > 19 || mantissa > (G_GUINT64_CONSTANT (1) << DBL_MANT_DIG) || exponent < -22 || exponent > 22)
    return FALSE;

  /* Both operands are exact, so the one operation rounds correctly. */
  if (exponent < 0)
    *value = (double) mantissa / powers[-exponent];
  else
    *value = (double) mantissa * powers[exponent];

  return TRUE;
#else
  return FALSE;
#endif
}

/* From @text to the current position there is a number with fraction or exponent. */
static gboolean
finish_double (KcpJsonScanner *scanner,
               const char     *text,
               gsize           digits,
               guint64         mantissa,
               gint64          exponent,
               KcpJsonScratch *scratch,
               KcpJsonNumber  *number)
{
  double value;

  if (small_double (digits, mantissa, exponent, &value))
    {
      value = *text == '-' ? -value : value;
    }
  else
    {
      gsize length = scanner->p - text;
      char *copy = scratch_reserve (scratch, length + 1);

      memcpy (copy, text, length);
      copy[length] = '\0';
      value = g_ascii_strtod (copy, NULL);
    }

  /* What is too near to zero for a double becomes zero, as section 6 lets it. */
  if (!isfinite (value))
    return kcp_json_scanner_fail (scanner, text, "number is too large for a double");

  number->is_integer = FALSE;
  number->real = value;

  return TRUE;
}

/* Takes the digits at the current position, one at least. @value wraps when there are too many. */
static gboolean
take_digits (KcpJsonScanner *scanner,
             gsize          *digits,
             guint64        *value)
{
  const char *first = scanner->p;

  if (!kcp_json_scanner_is_at_digit (scanner))
    return kcp_json_scanner_fail_expected (scanner, "a digit");

  for (; kcp_json_scanner_is_at_digit (scanner); scanner->p++)
    *value = *value * 10 + (*scanner->p - '0');

  *digits = scanner->p - first;

  return TRUE;
}

/* Adds the exponent at the current position, if there is one, to @exponent. */
static gboolean
take_exponent (KcpJsonScanner *scanner,
               gint64         *exponent)
{
  guint64 value = 0;
  gsize digits;
  gboolean negative;

  if (!kcp_json_scanner_is_at (scanner, 'e') && !kcp_json_scanner_is_at (scanner, 'E'))
    return TRUE;

  scanner->p++;
  negative = kcp_json_scanner_is_at (scanner, '-');
  if (negative || kcp_json_scanner_is_at (scanner, '+'))
    scanner->p++;
  if (!take_digits (scanner, &digits, &value))
    return FALSE;

  /* It may have wrapped. Any value out of reach for small_double() is good enough then. */
  if (digits > 9)
    value = G_MAXINT32;
  *exponent += negative ? -(gint64) value : (gint64) value;

  return TRUE;
}

gboolean
kcp_json_scanner_take_number (KcpJsonScanner *scanner,
                              KcpJsonScratch *scratch,
                              KcpJsonNumber  *number)
{
  const char *text = scanner->p;
  const char *first;
  guint64 mantissa = 0;
  gsize digits;
  gsize decimals = 0;
  gint64 exponent;

  if (*text == '-')
    scanner->p++;

  first = scanner->p;
  if (!take_digits (scanner, &digits, &mantissa))
    return FALSE;
  if (*first == '0' && digits > 1)
    return kcp_json_scanner_fail (scanner, text, "number with a leading zero");

  if (kcp_json_scanner_is_at (scanner, '.'))
    {
      scanner->p++;
      if (!take_digits (scanner, &decimals, &mantissa))
        return FALSE;
    }
  else if (!kcp_json_scanner_is_at (scanner, 'e') && !kcp_json_scanner_is_at (scanner, 'E'))
    {
      return finish_integer (scanner, text, digits, mantissa, number);
    }

  exponent = -(gint64) decimals;
  if (!take_exponent (scanner, &exponent))
    return FALSE;

  return finish_double (scanner, text, digits + decimals, mantissa, exponent, scratch, number);
}
