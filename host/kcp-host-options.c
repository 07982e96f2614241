/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-options.h"
#include "kcp-host-config.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

/* What GOption fills in, before it is looked at. */
typedef struct
{
  char *log_level;
  char *timeout;
  char *start_timeout;
  char *stop_timeout;
  char *frame_limit;
  char *wrapper;
  char *color;
  char **config_files;
  gboolean version;
} RawOptions;

static void
raw_options_clear (RawOptions *raw)
{
  g_free (raw->log_level);
  g_free (raw->timeout);
  g_free (raw->start_timeout);
  g_free (raw->stop_timeout);
  g_free (raw->frame_limit);
  g_free (raw->wrapper);
  g_free (raw->color);
  g_strfreev (raw->config_files);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (RawOptions, raw_options_clear)

static void
set_bad_value (GError     **error,
               const char  *option,
               const char  *expected,
               const char  *value)
{
  /* Translators: an option, what it takes, what was given */
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, _("%s wants %s, not “%s”"),
               option, expected, value);
}

static gboolean
read_seconds (const char  *option,
              const char  *text,
              int         *milliseconds,
              GError     **error)
{
  double seconds;
  char *end;

  *milliseconds = KCP_TIMEOUT_DEFAULT;
  if (text == NULL)
    return TRUE;

  seconds = g_ascii_strtod (text, &end);
  if (end == text || *end != '\0' || !isfinite (seconds) || seconds < 0 || seconds > G_MAXINT / 1000)
    {
      set_bad_value (error, option, _("a number of seconds"), text);
      return FALSE;
    }

  /* Up: a short timeout must not become 0, which is none. */
  *milliseconds = (int) ceil (seconds * 1000);
  return TRUE;
}

static gboolean
read_log_level (const char      *text,
                GLogLevelFlags  *level,
                GError         **error)
{
  static const struct
  {
    const char *name;
    GLogLevelFlags level;
  } levels[] = {
    { "error", G_LOG_LEVEL_ERROR },
    { "critical", G_LOG_LEVEL_CRITICAL },
    { "warning", G_LOG_LEVEL_WARNING },
    { "message", G_LOG_LEVEL_MESSAGE },
    { "info", G_LOG_LEVEL_INFO },
    { "debug", G_LOG_LEVEL_DEBUG },
  };

  *level = G_LOG_LEVEL_MESSAGE;
  if (text == NULL)
    return TRUE;

  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (strcmp (levels[i].name, text) == 0)
      {
        *level = levels[i].level;
        return TRUE;
      }

  set_bad_value (error, "--log-level", "error|critical|warning|message|info|debug", text);
  return FALSE;
}

static gboolean
read_color (const char  *text,
            HostColor   *color,
            GError     **error)
{
  if (text == NULL || strcmp (text, "auto") == 0)
    *color = HOST_COLOR_AUTO;
  else if (strcmp (text, "always") == 0)
    *color = HOST_COLOR_ALWAYS;
  else if (strcmp (text, "never") == 0)
    *color = HOST_COLOR_NEVER;
  else
    {
      set_bad_value (error, "--color", "auto|always|never", text);
      return FALSE;
    }

  return TRUE;
}

static gboolean
read_frame_limit (const char  *text,
                  gsize       *limit,
                  GError     **error)
{
  guint64 bytes = 0;

  if (text && !g_ascii_string_to_unsigned (text, 10, 1, G_MAXUINT32, &bytes, NULL))
    {
      set_bad_value (error, "--frame-limit", _("a number of bytes"), text);
      return FALSE;
    }

  *limit = (gsize) bytes;
  return TRUE;
}

static gboolean
check_env (char   **env,
           GError **error)
{
  for (guint i = 0; env && env[i]; i++)
    if (strchr (env[i], '=') == NULL || env[i][0] == '=')
      {
        set_bad_value (error, "--env", "KEY=VALUE", env[i]);
        return FALSE;
      }

  return TRUE;
}

static gboolean
read_values (HostOptions  *options,
             RawOptions   *raw,
             GError      **error)
{
  if (!read_seconds ("--timeout", raw->timeout, &options->timeout_ms, error) ||
      !read_seconds ("--start-timeout", raw->start_timeout, &options->start_timeout_ms, error) ||
      !read_seconds ("--stop-timeout", raw->stop_timeout, &options->stop_timeout_ms, error) ||
      !read_log_level (raw->log_level, &options->log_level, error) ||
      !read_color (raw->color, &options->color, error) ||
      !read_frame_limit (raw->frame_limit, &options->frame_limit, error) ||
      !check_env (options->env, error))
    return FALSE;

  if (raw->wrapper && !g_shell_parse_argv (raw->wrapper, NULL, &options->wrapper, error))
    {
      g_prefix_error (error, "--wrapper: ");
      return FALSE;
    }

  if (options->quiet)
    options->log_level = MIN (options->log_level, G_LOG_LEVEL_WARNING);

  for (guint i = 0; raw->config_files && raw->config_files[i]; i++)
    if (!host_config_add_file (options->config, raw->config_files[i], error))
      return FALSE;

  return TRUE;
}

static char *
help_text (void)
{
  /* Not to be translated. */
  static const char examples[] =
    "  kcp-host ./echo.so call echo '{\"hello\": \"world\"}'\n"
    "  kcp-host sqlite database=notes.db describe\n"
    "  kcp-host --callback now='date +%s' ./ask.so call ask '{\"path\": \"now\"}'\n"
    "  printf '%s\\n' 'echo 1' '{\"id\":7,\"call\":\"echo\",\"body\":2}' | kcp-host ./echo.so";

  return g_strdup_printf ("%s\n\n%s\n%s\n\n%s",
                          _("Commands:\n"
                            "  call PATH [JSON|-|@FILE]  Make one call and print the answer\n"
                            "  describe [--json]         Show what the plugin says about itself\n"
                            "  check                     Load it, start it, stop it\n"
                            "  run -- COMMAND [ARG…]     Run a program that makes the calls\n"
                            "Without a command, calls are read from the input as JSON Lines."),
                          _("Examples:"), examples,
                          _("The manual page kcp-host(1) has the details, the exit status among them."));
}

static gboolean
parse_command_line (HostOptions   *options,
                    RawOptions    *raw,
                    int           *argc,
                    char        ***argv,
                    GError       **error)
{
  const GOptionEntry entries[] = {
    { "name", 'n', 0, G_OPTION_ARG_STRING, &options->name,
      N_("Name of the child, in logs and errors"), N_("NAME") },
    { "config", 'c', 0, G_OPTION_ARG_FILENAME_ARRAY, &raw->config_files,
      N_("Read KEY=VALUE lines for the plugin from FILE"), N_("FILE") },
    { "timeout", 't', 0, G_OPTION_ARG_STRING, &raw->timeout,
      N_("Let a call fail after SEC seconds; 0 for never"), N_("SEC") },
    { "start-timeout", 0, 0, G_OPTION_ARG_STRING, &raw->start_timeout,
      N_("Let the start fail after SEC seconds; 0 for never"), N_("SEC") },
    { "stop-timeout", 0, 0, G_OPTION_ARG_STRING, &raw->stop_timeout,
      N_("Let calls end for SEC seconds when stopping"), N_("SEC") },
    { "callback", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->callbacks,
      N_("Answer the plugin's calls of PATH with COMMAND"), N_("PATH=COMMAND") },
    { "callbacks", 0, 0, G_OPTION_ARG_NONE, &options->callback_lines,
      N_("Pass the plugin's other calls on as JSON Lines"), NULL },
    { "log-level", 'l', 0, G_OPTION_ARG_STRING, &raw->log_level,
      N_("Log LEVEL and above, such as warning or debug"), N_("LEVEL") },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &options->quiet,
      N_("Log nothing below a warning"), NULL },
    { "color", 0, 0, G_OPTION_ARG_STRING, &raw->color,
      N_("Use colors: auto, always or never"), N_("WHEN") },
    { "env", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->env,
      N_("Set a variable in the child's environment"), N_("KEY=VALUE") },
    { "unset-env", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->unset_env,
      N_("Remove a variable from the child's environment"), N_("KEY") },
    { "inherit-env", 0, 0, G_OPTION_ARG_NONE, &options->inherit_env,
      N_("Pass the whole environment to the child"), NULL },
    { "directory", 'C', 0, G_OPTION_ARG_FILENAME, &options->directory,
      N_("Working directory of the child"), N_("DIR") },
    { "wrapper", 0, 0, G_OPTION_ARG_FILENAME, &raw->wrapper,
      N_("Start the child under a program such as valgrind"), N_("COMMAND") },
    { "stub", 0, 0, G_OPTION_ARG_FILENAME, &options->stub,
      N_("Use this kcp-child program"), N_("PATH") },
    { "core-dumps", 0, 0, G_OPTION_ARG_NONE, &options->core_dumps,
      N_("Let a crash leave a core dump"), NULL },
    { "frame-limit", 0, 0, G_OPTION_ARG_STRING, &raw->frame_limit,
      N_("Largest message in bytes"), N_("BYTES") },
    { "version", 'V', 0, G_OPTION_ARG_NONE, &raw->version,
      N_("Print the version and exit"), NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = NULL;
  g_autofree char *description = help_text ();

  context = g_option_context_new (_("PLUGIN [KEY=VALUE…] [COMMAND [ARG…]]"));
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  g_option_context_set_summary (context, _("Run a kcp plugin in a child process, and talk to it."));
  g_option_context_set_description (context, description);

  /* What follows the plugin is not ours to read. */
  g_option_context_set_strict_posix (context, TRUE);
  return g_option_context_parse (context, argc, argv, error);
}

static gboolean
take_settings (HostOptions   *options,
               char        ***rest,
               GError       **error)
{
  for (; **rest && host_config_is_setting (**rest); (*rest)++)
    if (!host_config_add (options->config, **rest, error))
      return FALSE;

  return TRUE;
}

HostOptionsResult
host_options_parse (HostOptions  *options,
                    int           argc,
                    char        **argv,
                    GError      **error)
{
  g_auto (RawOptions) raw = { NULL, };
  char **rest = argv + 1;

  *options = (HostOptions) { .config = host_config_new () };
  if (!parse_command_line (options, &raw, &argc, &argv, error))
    return HOST_OPTIONS_BAD;

  if (raw.version)
    {
      g_print ("kcp-host %s\n", KCP_VERSION_STRING);
      return HOST_OPTIONS_DONE;
    }

  if (*rest && strcmp (*rest, "--") == 0)
    rest++;
  if (*rest == NULL)
    {
      g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _("no plugin is named"));
      return HOST_OPTIONS_BAD;
    }

  if (!read_values (options, &raw, error))
    return HOST_OPTIONS_BAD;

  options->plugin = host_plugin_find (*rest++, error);
  if (options->plugin == NULL)
    return HOST_OPTIONS_NO_PLUGIN;

  if (!take_settings (options, &rest, error))
    return HOST_OPTIONS_BAD;

  options->command = *rest;
  options->args = *rest ? rest + 1 : rest;
  return HOST_OPTIONS_RUN;
}

void
host_options_clear (HostOptions *options)
{
  g_free (options->name);
  g_strfreev (options->env);
  g_strfreev (options->unset_env);
  g_strfreev (options->wrapper);
  g_free (options->stub);
  g_free (options->directory);
  g_strfreev (options->callbacks);
  g_free (options->plugin);
  g_ptr_array_unref (options->config);
}
