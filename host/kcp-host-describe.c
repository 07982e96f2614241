/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-json.h"
#include "kcp-host-verbs.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

/* kcp-host PLUGIN describe [--json] */

/* Columns between a name and what is said about it. */
#define GAP 2

/* Longer names get a line of their own, so that they do not push everything to the right. */
#define MAX_NAME_WIDTH 32

typedef struct
{
  gboolean json;
} Describe;

static gboolean
prepare (HostSession  *session,
         char        **args,
         GError      **error)
{
  Describe *self;

  if (args[0] && (strcmp (args[0], "--json") != 0 || args[1]))
    {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                   _("“describe” takes nothing but --json, not “%s”"),
                   strcmp (args[0], "--json") != 0 ? args[0] : args[1]);
      return FALSE;
    }

  self = g_new0 (Describe, 1);
  self->json = args[0] != NULL;
  session->data = self;
  /* What it wants to be told before it starts is what one may want to read here. */
  kcp_launcher_set_describe_only (session->launcher, TRUE);
  return TRUE;
}

static void
print_json (HostSession *session,
            KcpManifest *manifest)
{
  g_autoptr (JsonNode) node = kcp_manifest_to_json (manifest);
  g_autofree char *text = NULL;

  text = session->out.terminal || session->out.color ? host_json_render (node, &session->out, 0, 0)
                                                     : kcp_json_to_string (node, NULL);
  /* JSON is UTF-8 whatever the locale: not g_print(), which converts. */
  if (text)
    puts (text);
}

/* ---- for a person ---- */

typedef struct
{
  char *name;
  char *text;
} Row;

static void
row_clear (gpointer data)
{
  Row *row = data;

  g_free (row->name);
  g_free (row->text);
}

static GArray *
rows_new (void)
{
  GArray *rows = g_array_new (FALSE, FALSE, sizeof (Row));

  g_array_set_clear_func (rows, row_clear);
  return rows;
}

static void
add_row (GArray     *rows,
         const char *name,
         const char *text)
{
  Row row = { host_text_clean (name), host_text_clean (text ? text : "") };

  g_array_append_val (rows, row);
}

/* The columns of @rows line up; the text goes on below itself where the terminal ends. */
static void
print_text (const HostStyle *style,
            const char      *text,
            guint            column)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  guint at = column;

  for (guint i = 0; words[i]; i++)
    {
      guint width = host_text_width (words[i]);

      if (width == 0)
        continue;
      if (at > column && style->terminal && at + 1 + width > style->width)
        {
          g_print ("\n%*s", (int) column, "");
          at = column;
        }
      g_print ("%s%s", at > column ? " " : "", words[i]);
      at += width + (at > column ? 1 : 0);
    }
  g_print ("\n");
}

static void
print_rows (const HostStyle *style,
            const char      *title,
            GArray          *rows)
{
  guint widest = 0;

  if (rows->len == 0)
    return;

  for (guint i = 0; i < rows->len; i++)
    {
      guint width = host_text_width (g_array_index (rows, Row, i).name);

      if (width <= MAX_NAME_WIDTH)
        widest = MAX (widest, width);
    }

  g_print ("\n%s%s%s\n", host_style_start (style, HOST_PAINT_STRONG), title, host_style_end (style));
  for (guint i = 0; i < rows->len; i++)
    {
      Row *row = &g_array_index (rows, Row, i);
      guint width = host_text_width (row->name);
      guint column = 2 + widest + GAP;

      g_print ("  %s%s%s", host_style_start (style, HOST_PAINT_NUMBER), row->name, host_style_end (style));
      if (*row->text == '\0')
        {
          g_print ("\n");
          continue;
        }
      if (width > widest)
        g_print ("\n%*s", (int) column, "");
      else
        g_print ("%*s", (int) (widest - width + GAP), "");
      print_text (style, row->text, column);
    }
}

/* The plugin gives lines of "KEY=VALUE  what it does"; two blanks part the columns. */
static void
print_config_help (const HostStyle *style,
                   const char      *help)
{
  g_autoptr (GArray) rows = rows_new ();
  g_auto (GStrv) lines = g_strsplit (help, "\n", -1);

  for (guint i = 0; lines[i]; i++)
    {
      char *line = g_strstrip (lines[i]);
      char *gap = strstr (line, "  ");

      if (*line == '\0')
        continue;
      if (gap)
        *gap = '\0';
      add_row (rows, line, gap ? g_strchug (gap + 1) : NULL);
    }

  print_rows (style, _("Configuration"), rows);
}

static void
print_manifest (HostSession *session,
                KcpManifest *manifest)
{
  const HostStyle *style = &session->out;
  const char *const *paths = kcp_manifest_get_paths (manifest);
  const char *version = kcp_manifest_get_version (manifest);
  const char *description = kcp_manifest_get_description (manifest);
  const char *help = kcp_manifest_get_config_help (manifest);
  g_autofree char *title = NULL;
  g_autofree char *clean = NULL;
  g_autoptr (GArray) rows = rows_new ();

  title = host_text_clean (kcp_manifest_get_name (manifest));
  clean = host_text_clean (version ? version : "");
  g_print ("%s%s%s%s%s\n", host_style_start (style, HOST_PAINT_STRONG), title, host_style_end (style),
           *clean ? " " : "", clean);
  if (description && *description)
    {
      g_autofree char *text = host_text_clean (description);

      print_text (style, text, 0);
    }

  if (help)
    print_config_help (style, help);

  for (guint i = 0; paths && paths[i]; i++)
    add_row (rows, paths[i], kcp_manifest_get_path_description (manifest, paths[i]));
  if (kcp_manifest_serves_any_path (manifest))
    add_row (rows, "*", paths && paths[0] ? _("any other path") : _("any path"));
  print_rows (style, _("Paths"), rows);
}

static void
ready (HostSession *session)
{
  Describe *self = session->data;
  KcpManifest *manifest = kcp_actor_get_manifest (session->actor);

  if (self->json)
    print_json (session, manifest);
  else
    print_manifest (session, manifest);

  host_session_finish (session, HOST_EXIT_OK);
}

const HostVerb host_verb_describe = {
  .name = "describe",
  .usage = "describe [--json]",
  .prepare = prepare,
  .ready = ready,
  .free = g_free,
};
