/* off.c: a PID 1 that ends the VM at once: what a boot costs by itself. */
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
