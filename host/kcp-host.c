/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-log.h"
#include "kcp-host-verbs.h"

#include <glib/gi18n.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

static const HostVerb *const verbs[] = {
  &host_verb_call,
  &host_verb_describe,
  &host_verb_check,
  &host_verb_run,
};

static void
setup_locale (void)
{
  const char *directory = g_getenv ("KCP_LOCALE_DIR");

  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, directory ? directory : KCP_LOCALE_DIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
}

static const HostVerb *
find_verb (const char *command)
{
  if (command == NULL)
    return &host_verb_lines;

  for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++)
    if (strcmp (verbs[i]->name, command) == 0)
      return verbs[i];

  return NULL;
}

static int
complain_usage (const char *text)
{
  host_complain ("%s", text);
  g_printerr ("%s\n", _("“kcp-host --help” shows how to use it."));
  return HOST_EXIT_USAGE;
}

static int
run (HostOptions *options)
{
  const HostVerb *verb = find_verb (options->command);
  g_autofree char *text = NULL;

  if (verb == NULL)
    {
      text = *options->command == '-'
               ? g_strdup_printf (_("%s comes too late: options stand before the plugin"), options->command)
               : g_strdup_printf (_("there is no command “%s”"), options->command);
      return complain_usage (text);
    }

  if (options->callback_lines && verb != &host_verb_lines && verb != &host_verb_run)
    {
      text = g_strdup_printf (_("--callbacks needs JSON Lines: not with “%s”"), verb->name);
      return complain_usage (text);
    }

  host_log_setup (options->log_level);
  return host_session_run (options, verb);
}

int
main (int    argc,
      char **argv)
{
  HostOptions options;
  g_autoptr (GError) error = NULL;
  int status = HOST_EXIT_OK;

  g_set_prgname ("kcp-host");
  setup_locale ();
  host_print_setup ();

  /* Output that nobody reads any more is an error of the write, not the end of us. */
  signal (SIGPIPE, SIG_IGN);

  switch (host_options_parse (&options, argc, argv, &error))
    {
    case HOST_OPTIONS_RUN:
      status = run (&options);
      break;

    case HOST_OPTIONS_BAD:
      status = complain_usage (error->message);
      break;

    case HOST_OPTIONS_NO_PLUGIN:
      host_complain ("%s", error->message);
      status = HOST_EXIT_NOT_STARTED;
      break;

    case HOST_OPTIONS_DONE:
    default:
      break;
    }

  host_options_clear (&options);
  return status;
}
