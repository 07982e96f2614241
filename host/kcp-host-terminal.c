/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-terminal.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_WIDTH 80

static void
print_to (FILE       *stream,
          const char *text)
{
  const char *charset;
  g_autofree char *target = NULL;
  g_autofree char *converted = NULL;

  if (!g_get_charset (&charset))
    {
      target = g_strconcat (charset, "//TRANSLIT", NULL);
      converted = g_convert_with_fallback (text, -1, target, "UTF-8", "?", NULL, NULL, NULL);
    }

  fputs (converted ? converted : text, stream);
  fflush (stream);
}

static void
print_out (const char *text)
{
  print_to (stdout, text);
}

static void
print_err (const char *text)
{
  print_to (stderr, text);
}

void
host_print_setup (void)
{
  g_set_print_handler (print_out);
  g_set_printerr_handler (print_err);
}

static gboolean
wants_color (HostColor color,
             gboolean  terminal)
{
  const char *no_color = g_getenv ("NO_COLOR");
  const char *term = g_getenv ("TERM");

  switch (color)
    {
    case HOST_COLOR_ALWAYS:
      return TRUE;
    case HOST_COLOR_NEVER:
      return FALSE;
    case HOST_COLOR_AUTO:
    default:
      /* no-color.org: set and not empty turns it off, whatever the value. */
      if (no_color && *no_color)
        return FALSE;
      return terminal && !(term && strcmp (term, "dumb") == 0);
    }
}

void
host_style_init (HostStyle *style,
                 int        fd,
                 HostColor  color)
{
  struct winsize size = { 0, };

  style->terminal = isatty (fd) == 1;
  style->color = wants_color (color, style->terminal);
  style->ascii = !g_get_charset (NULL);
  style->width = DEFAULT_WIDTH;
  if (style->terminal && ioctl (fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    style->width = size.ws_col;
}

const char *
host_style_start (const HostStyle *style,
                  HostPaint        paint)
{
  static const char *const escapes[] = {
    [HOST_PAINT_STRONG] = "\033[1m",
    [HOST_PAINT_FAINT] = "\033[2m",
    [HOST_PAINT_GOOD] = "\033[32m",
    [HOST_PAINT_BAD] = "\033[1;31m",
    [HOST_PAINT_KEY] = "\033[34m",
    [HOST_PAINT_STRING] = "\033[32m",
    [HOST_PAINT_NUMBER] = "\033[36m",
    [HOST_PAINT_WORD] = "\033[35m",
  };

  return style->color ? escapes[paint] : "";
}

const char *
host_style_end (const HostStyle *style)
{
  return style->color ? "\033[0m" : "";
}

guint
host_text_width (const char *text)
{
  guint width = 0;

  for (const char *p = text; *p; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (!g_unichar_iszerowidth (c))
        width += g_unichar_iswide (c) ? 2 : 1;
    }

  return width;
}

char *
host_text_clean (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *clean = g_string_sized_new (strlen (valid));

  for (const char *p = valid; *p; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (c == '\n' || c == '\t')
        g_string_append_c (clean, ' ');
      else if (g_unichar_iscntrl (c))
        g_string_append_printf (clean, "\\x%02x", c);
      else
        g_string_append_unichar (clean, c);
    }

  return g_string_free (clean, FALSE);
}
