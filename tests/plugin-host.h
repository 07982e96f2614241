/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <kcp.h>

/* For the tests of the real plugins: a child, asked from the main loop, with JSON as text on both
 * sides. KCP_TEST_PLUGINS names the directory of the plugins. */

/* Starts @plugin ("echo" for echo.so). @handler may be NULL. The rest are keys and values of its
 * configuration, ended by NULL. */
KcpActor *plugin_spawn     (const char           *plugin,
                            KcpCallbackHandler   *handler,
                            GError              **error,
                            ...) G_GNUC_NULL_TERMINATED;
/* The same, which must work. */
KcpActor *plugin_start     (const char           *plugin,
                            KcpCallbackHandler   *handler,
                            const char           *key,
                            const char           *value);
/* Stops it, which must go well. Takes @actor. */
void      plugin_stop      (KcpActor             *actor);

/* The answer's body. */
char     *plugin_ask       (KcpActor             *actor,
                            const char           *path,
                            const char           *body,
                            GError              **error);
char     *plugin_ask_message (KcpActor           *actor,
                            KcpMessage           *message,
                            GError              **error);

/* The next item, or NULL without an error at the end. */
char     *plugin_next      (KcpStream            *stream,
                            GError              **error);
KcpStream *plugin_stream   (KcpActor             *actor,
                            const char           *path,
                            const char           *body,
                            GCancellable         *cancellable);
/* Takes what is left of it. */
void      plugin_drain     (KcpStream            *stream,
                            GError              **error);
/* All items and the end, each followed by a newline. */
char     *plugin_collect   (KcpActor             *actor,
                            const char           *path,
                            const char           *body,
                            GError              **error);

/* ---- expectations ---- */

void      plugin_expect    (KcpActor             *actor,
                            const char           *path,
                            const char           *body,
                            const char           *answer);
void      plugin_expect_items (KcpActor          *actor,
                            const char           *path,
                            const char           *body,
                            const char           *lines);
/* An error of that domain and code, with @part in its text. */
void      plugin_expect_error (KcpActor          *actor,
                            const char           *path,
                            const char           *body,
                            GQuark                domain,
                            int                   code,
                            const char           *part);
void      plugin_assert_part (const char         *text,
                            const char           *part);
