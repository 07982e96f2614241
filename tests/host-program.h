/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

/* For the tests of kcp-host: the program, run as a user would. KCP_HOST names it, KCP_TEST_PLUGINS
 * the directory of the plugins, KCP_TEST_PROBE the plugin probe.so. */

/* A run that is over. */
typedef struct
{
  char *out;
  gsize out_length;
  char *err;
  int status;         /* exit code; 1000 + the signal's number if one ended it */
} Program;

void program_free (Program *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Program, program_free)

/* The path of a plugin: "echo", or "probe". */
char        *program_plugin        (const char          *name) G_GNUC_WARN_UNUSED_RESULT;

/* A launcher with the environment that the tests want: UTF-8, no colours, nothing of the user's. */
GSubprocessLauncher *program_launcher (GSubprocessFlags  flags) G_GNUC_WARN_UNUSED_RESULT;

/* Runs it to its end; @args is split as a shell would. In it, %echo stands for the path of that
 * plugin. @launcher may be NULL. */
Program     *program_run           (GSubprocessLauncher *launcher,
                                    const char          *input,
                                    const char          *args) G_GNUC_WARN_UNUSED_RESULT;

/* Runs it and checks the exit status and stdout; NULL for output that does not matter. */
void         program_expect        (const char          *input,
                                    const char          *args,
                                    int                  status,
                                    const char          *out);

/* Checks the exit status and that stderr has @part. */
void         program_expect_error  (const char          *input,
                                    const char          *args,
                                    int                  status,
                                    const char          *part);

void         program_assert_part   (const char          *text,
                                    const char          *part);

/* ---- one that runs while it is talked to ---- */

typedef struct
{
  GSubprocess *process;
  GDataInputStream *out;
} Talk;

Talk        *talk_start            (const char          *args) G_GNUC_WARN_UNUSED_RESULT;
void         talk_send             (Talk                *self,
                                    const char          *line);
char        *talk_read             (Talk                *self) G_GNUC_WARN_UNUSED_RESULT;
void         talk_expect           (Talk                *self,
                                    const char          *line);
/* The line must begin with @part. */
void         talk_expect_start     (Talk                *self,
                                    const char          *part);
void         talk_end_input        (Talk                *self);
/* Frees it; gives the exit code. */
int          talk_end              (Talk                *self);
