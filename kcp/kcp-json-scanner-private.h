/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-json-private.h"

G_BEGIN_DECLS

/* Goes over JSON text and takes its words, strings and numbers. It knows nothing of nesting.
 * Functions that can fail leave the reason in @error, with the place, and are not to be called again. */
typedef struct
{
  const char *start;
  const char *p;
  const char *end;
  GError *error;
} KcpJsonScanner;

/* Room for one string that json-glib then copies. It grows to the longest string of the text at most
 * and is used again for the next one. */
typedef struct
{
  char *data;
  gsize size;
  char first[256];
} KcpJsonScratch;

typedef struct
{
  gboolean is_integer;
  gint64 integer;
  double real;
} KcpJsonNumber;

void     kcp_json_scratch_init          (KcpJsonScratch       *scratch);
void     kcp_json_scratch_clear         (KcpJsonScratch       *scratch);

/* These two always give %FALSE, so that a caller can return them. The second tells what is at the
 * current position instead. */
gboolean kcp_json_scanner_fail          (KcpJsonScanner       *scanner,
                                         const char           *position,
                                         const char           *format,
                                         ...) G_GNUC_PRINTF (3, 4);
gboolean kcp_json_scanner_fail_expected (KcpJsonScanner       *scanner,
                                         const char           *expected);

/* How long the word is that begins at the current position; 0 where none does. */
gsize    kcp_json_scanner_word_length   (const KcpJsonScanner *scanner);

/* The current position must be at a quote. The text is in @scratch then, with a NUL byte after it. */
gboolean kcp_json_scanner_take_string   (KcpJsonScanner       *scanner,
                                         KcpJsonScratch       *scratch);

/* The current position must be at a digit or a minus sign; a number with neither fraction nor exponent
 * is an integer. What was in @scratch may be lost. */
gboolean kcp_json_scanner_take_number   (KcpJsonScanner       *scanner,
                                         KcpJsonScratch       *scratch,
                                         KcpJsonNumber        *number);

static inline void
kcp_json_scanner_skip_space (KcpJsonScanner *scanner)
{
  while (scanner->p < scanner->end &&
         (*scanner->p == ' ' || *scanner->p == '\n' || *scanner->p == '\t' || *scanner->p == '\r'))
    scanner->p++;
}

static inline gboolean
kcp_json_scanner_is_at (const KcpJsonScanner *scanner,
                        char                  c)
{
  return scanner->p < scanner->end && *scanner->p == c;
}

static inline gboolean
kcp_json_scanner_is_at_digit (const KcpJsonScanner *scanner)
{
  return scanner->p < scanner->end && g_ascii_isdigit (*scanner->p);
}

G_END_DECLS
