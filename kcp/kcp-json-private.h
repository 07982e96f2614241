/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-json.h"

#include <string.h>

G_BEGIN_DECLS

/* Appends the text of @node to @out, compact, without a newline; on an error @out is as before. */
gboolean kcp_json_append  (GString     *out,
                           JsonNode    *node,
                           GError     **error);

/* The beginning of foreign bytes, fit for an error message: bounded, printable, valid UTF-8. */
char    *kcp_json_excerpt (const char  *bytes,
                           gsize        length) G_GNUC_WARN_UNUSED_RESULT;

/* Where the first byte at or after @p is that cannot stand for itself in a JSON string: a quote, a
 * backslash or a control character; @end if there is none. Sets *@non_ascii if a byte of 0x80 or more
 * was passed, else leaves it alone.
 *
 * Reader and writer spend their time on long strings here, so eight bytes are looked at in one step.
 * `x - ones` borrows into a neighbour byte only out of a byte that is a hit itself, so a step without
 * a hit is never wrong, and one with a hit is looked at again byte by byte. */
static inline const char *
kcp_json_skip_plain (const char *p,
                     const char *end,
                     gboolean   *non_ascii)
{
  const guint64 ones = G_GUINT64_CONSTANT (0x0101010101010101);
  const guint64 tops = ones << 7;
  guint64 seen = 0;

  while (end - p >= 8)
    {
      guint64 word, quote, backslash, hit;

      memcpy (&word, p, sizeof word);
      quote = word ^ (ones * '"');
      backslash = word ^ (ones * '\\');
      hit = (word - ones * 0x20) & ~word;
      hit |= (quote - ones) & ~quote;
      hit |= (backslash - ones) & ~backslash;
      if ((hit & tops) != 0)
        break;

      seen |= word;
      p += 8;
    }

  for (; p < end && (guchar) *p >= 0x20 && *p != '"' && *p != '\\'; p++)
    seen |= (guchar) *p;

  if ((seen & tops) != 0)
    *non_ascii = TRUE;

  return p;
}

G_END_DECLS
