/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-host-callback-lines.h"
#include "kcp-host-session.h"

G_BEGIN_DECLS

/* Lines in, lines out, any number of calls in between.
 *
 *   stream ─► reader ─► request ─► waiting ─► in flight ─► answer ─► writer ─► descriptor
 *                └──────► answers to callbacks ◄── callbacks ───────────┘
 *
 * Nothing piles up: reading pauses while many calls are in flight or the output is not taken, and a
 * streamed answer is read on only while there is room for it. */
typedef struct _HostConversation HostConversation;

typedef struct
{
  /* The input has ended and all of it is answered; told once. */
  void (*done)   (gpointer      data);
  /* The output is not read any more (NULL), or cannot be written; told once. Calls go on. */
  void (*broken) (gpointer      data,
                  const GError *error);
} HostConversationFuncs;

/* @style is NULL for JSON; @prompt only where a person types. */
HostConversation *host_conversation_new          (HostSession                 *session,
                                                  GInputStream                *input,
                                                  int                          output,
                                                  const HostStyle             *style,
                                                  gboolean                     prompt,
                                                  const HostConversationFuncs *funcs,
                                                  gpointer                     data)
                                                  G_GNUC_WARN_UNUSED_RESULT;
void              host_conversation_free         (HostConversation            *self);

/* Reads from now on; calls wait until there is an actor. */
void              host_conversation_begin        (HostConversation            *self);
void              host_conversation_set_actor    (HostConversation            *self,
                                                  KcpActor                    *actor);

/* Takes no more input: as if it had ended here. With @drain what still comes is read and dropped, so
 * that its writer does not get stuck. */
void              host_conversation_end_input    (HostConversation            *self,
                                                  gboolean                     drain);

/* Lets go of the descriptor; what is not written yet, or comes later, is dropped. */
void              host_conversation_close_output (HostConversation            *self);

/* Ends all calls early. */
void              host_conversation_cancel_all   (HostConversation            *self);

/* Writes what is no answer, such as a greeting. */
void              host_conversation_print        (HostConversation            *self,
                                                  const char                  *text);

/* Clears the terminal's line for text that goes to stderr. */
void              host_conversation_make_way     (HostConversation            *self);

guint64           host_conversation_get_n_failed (HostConversation            *self);
guint64           host_conversation_get_n_bad    (HostConversation            *self);

G_END_DECLS
