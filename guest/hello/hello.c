/* hello.c: the workload of the embedded image: says that a VM of its own ran it. */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	struct utsname u;

	if (uname(&u) < 0) {
		perror("uname");
		return 1;
	}
	printf("Hello from a virtual machine of my own!\n"
	       "\n"
	       "This is zl: docker's commands, and a VM for every container. What just happened:\n"
	       " 1. zl found the image \"hello\" in its own executable and unpacked it.\n"
	       " 2. It booted %s %s (%s) with zl's agent as its first process.\n"
	       " 3. The agent mounted the image over virtiofs and ran this program as process %d\n"
	       "    of the container \"%s\".\n"
	       " 4. What you read came to your terminal over vsock. Now the VM goes away.\n"
	       "\n"
	       "Try something bigger:\n"
	       "    zl run -it debian bash\n",
	       u.sysname, u.release, u.machine, (int)getpid(), u.nodename);
	return fflush(stdout) ? 1 : 0;
}
