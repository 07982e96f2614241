/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-host-terminal.h"
#include "kcp-host-writer.h"

G_BEGIN_DECLS

/* The sign that invites a person to type. It makes way for output, and comes back when all is
 * answered, or after a moment if an answer takes longer. */
typedef struct _HostPrompt HostPrompt;

/* Both arguments outlive the prompt. */
HostPrompt *host_prompt_new   (HostWriter      *writer,
                               const HostStyle *style) G_GNUC_WARN_UNUSED_RESULT;
void        host_prompt_free  (HostPrompt      *self);

/* Before output: takes the prompt from the line. */
void        host_prompt_hide  (HostPrompt      *self);

/* The user has pressed Enter: the terminal is on the next line by itself. */
void        host_prompt_taken (HostPrompt      *self);

/* Shows it: now if @idle, else in a moment. */
void        host_prompt_show  (HostPrompt      *self,
                               gboolean         idle);

G_END_DECLS
