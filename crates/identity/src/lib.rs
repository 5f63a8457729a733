//! Who is who in a cluster: its authority, the hosts and services that it certified, the tokens
//! they joined with, and the roles of people.
