/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  HOST_COLOR_AUTO,
  HOST_COLOR_ALWAYS,
  HOST_COLOR_NEVER,
} HostColor;

/* How to write for whoever reads a descriptor. */
typedef struct
{
  gboolean terminal; /* a person is looking */
  gboolean color;
  gboolean ascii;    /* its charset is not UTF-8 */
  guint width;       /* columns */
} HostStyle;

typedef enum
{
  HOST_PAINT_STRONG,
  HOST_PAINT_FAINT,
  HOST_PAINT_GOOD,
  HOST_PAINT_BAD,
  HOST_PAINT_KEY,
  HOST_PAINT_STRING,
  HOST_PAINT_NUMBER,
  HOST_PAINT_WORD,
} HostPaint;

/* Lets g_print() and g_printerr() write what comes closest in a charset that has no quotes like
 * “these”, instead of question marks. After setlocale(). */
void        host_print_setup  (void);

void        host_style_init   (HostStyle        *style,
                               int               fd,
                               HostColor         color);

/* The escape that starts or ends a paint; "" without colour. */
const char *host_style_start  (const HostStyle  *style,
                               HostPaint         paint);
const char *host_style_end    (const HostStyle  *style);

/* Columns @text takes in a terminal. */
guint       host_text_width   (const char       *text);

/* Text from elsewhere, made fit for a terminal: valid UTF-8, one line, without control characters,
 * so that no plugin can move the cursor or change the window's title. */
char       *host_text_clean   (const char       *text) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
