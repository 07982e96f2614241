/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-program.h"

#include <string.h>

void
program_free (Program *self)
{
  g_free (self->out);
  g_free (self->err);
  g_free (self);
}

static const char *
get_setting (const char *variable)
{
  const char *value = g_getenv (variable);

  if (value == NULL)
    g_error ("%s is not set", variable);
  return value;
}

char *
program_plugin (const char *name)
{
  g_autofree char *file = NULL;

  if (strcmp (name, "probe") == 0)
    return g_strdup (get_setting ("KCP_TEST_PROBE"));

  file = g_strconcat (name, ".so", NULL);
  return g_build_filename (get_setting ("KCP_TEST_PLUGINS"), file, NULL);
}

GSubprocessLauncher *
program_launcher (GSubprocessFlags flags)
{
  GSubprocessLauncher *launcher = g_subprocess_launcher_new (flags);
  const char *const unwanted[] = {
    "LANGUAGE", "LANG", "NO_COLOR", "KCP_PLUGIN_PATH", "KCP_DEBUG", "G_MESSAGES_DEBUG", "COLUMNS",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (unwanted); i++)
    g_subprocess_launcher_unsetenv (launcher, unwanted[i]);
  g_subprocess_launcher_setenv (launcher, "LC_ALL", "C.UTF-8", TRUE);
  g_subprocess_launcher_setenv (launcher, "TERM", "xterm", TRUE);
  return launcher;
}

/* kcp-host and @args, with the paths of plugins put in. */
static char **
make_argv (const char *args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GStrvBuilder) argv = g_strv_builder_new ();
  g_auto (GStrv) words = NULL;

  g_shell_parse_argv (args, NULL, &words, &error);
  g_assert_no_error (error);

  g_strv_builder_add (argv, get_setting ("KCP_HOST"));
  for (guint i = 0; words[i]; i++)
    {
      g_autofree char *word = words[i][0] == '%' ? program_plugin (words[i] + 1) : g_strdup (words[i]);

      g_strv_builder_add (argv, word);
    }

  return g_strv_builder_end (argv);
}

static int
get_status (GSubprocess *process)
{
  if (g_subprocess_get_if_signaled (process))
    return 1000 + g_subprocess_get_term_sig (process);

  return g_subprocess_get_exit_status (process);
}

static char *
take_text (GBytes *bytes,
           gsize  *length)
{
  const char *data = g_bytes_get_data (bytes, length);
  char *text = g_malloc (*length + 1);

  if (*length > 0)
    memcpy (text, data, *length);
  text[*length] = '\0';
  return text;
}

Program *
program_run (GSubprocessLauncher *launcher,
             const char          *input,
             const char          *args)
{
  g_auto (GStrv) argv = make_argv (args);
  g_autoptr (GSubprocessLauncher) own = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GBytes) in = g_bytes_new (input ? input : "", input ? strlen (input) : 0);
  g_autoptr (GBytes) out = NULL;
  g_autoptr (GBytes) err = NULL;
  g_autoptr (GError) error = NULL;
  Program *self;
  gsize length;

  if (launcher == NULL)
    launcher = own = program_launcher (0);
  g_subprocess_launcher_set_flags (launcher, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                             G_SUBPROCESS_FLAGS_STDERR_PIPE);
  process = g_subprocess_launcher_spawnv (launcher, (const char *const *) argv, &error);
  g_assert_no_error (error);
  g_subprocess_communicate (process, in, NULL, &out, &err, &error);
  g_assert_no_error (error);

  self = g_new0 (Program, 1);
  self->out = take_text (out, &self->out_length);
  self->err = take_text (err, &length);
  self->status = get_status (process);
  return self;
}

static void
check_status (Program    *program,
              const char *args,
              int         status)
{
  if (program->status != status)
    g_error ("kcp-host %s: exit status %d, not %d\n%s%s", args, program->status, status,
             program->out, program->err);
}

void
program_expect (const char *input,
                const char *args,
                int         status,
                const char *out)
{
  g_autoptr (Program) program = program_run (NULL, input, args);

  check_status (program, args, status);
  if (out)
    g_assert_cmpstr (program->out, ==, out);
}

void
program_expect_error (const char *input,
                      const char *args,
                      int         status,
                      const char *part)
{
  g_autoptr (Program) program = program_run (NULL, input, args);

  check_status (program, args, status);
  program_assert_part (program->err, part);
}

void
program_assert_part (const char *text,
                     const char *part)
{
  if (strstr (text, part) == NULL)
    g_error ("there is no “%s” in: %s", part, text);
}

/* ---- one that runs while it is talked to ---- */

Talk *
talk_start (const char *args)
{
  g_auto (GStrv) argv = make_argv (args);
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autoptr (GError) error = NULL;
  Talk *self = g_new0 (Talk, 1);

  launcher = program_launcher (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  self->process = g_subprocess_launcher_spawnv (launcher, (const char *const *) argv, &error);
  g_assert_no_error (error);
  self->out = g_data_input_stream_new (g_subprocess_get_stdout_pipe (self->process));
  return self;
}

void
talk_send (Talk       *self,
           const char *line)
{
  g_autofree char *text = g_strconcat (line, "\n", NULL);
  g_autoptr (GError) error = NULL;

  g_output_stream_write_all (g_subprocess_get_stdin_pipe (self->process), text, strlen (text),
                             NULL, NULL, &error);
  g_assert_no_error (error);
}

char *
talk_read (Talk *self)
{
  g_autoptr (GError) error = NULL;
  char *line = g_data_input_stream_read_line (self->out, NULL, NULL, &error);

  g_assert_no_error (error);
  return line;
}

void
talk_expect (Talk       *self,
             const char *line)
{
  g_autofree char *got = talk_read (self);

  g_assert_cmpstr (got, ==, line);
}

void
talk_expect_start (Talk       *self,
                   const char *part)
{
  g_autofree char *got = talk_read (self);

  if (got == NULL || !g_str_has_prefix (got, part))
    g_error ("“%s” does not begin with “%s”", got, part);
}

void
talk_end_input (Talk *self)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_close (g_subprocess_get_stdin_pipe (self->process), NULL, &error);
  g_assert_no_error (error);
}

int
talk_end (Talk *self)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_subprocess_wait (self->process, NULL, &error);
  g_assert_no_error (error);
  status = get_status (self->process);
  g_object_unref (self->out);
  g_object_unref (self->process);
  g_free (self);
  return status;
}
